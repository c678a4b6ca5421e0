// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"crypto"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/observe"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// sharedClients holds the tokens of all clients, so that they survive a reload
// of the configuration. It is package-level because only package state outlives
// a configuration.
var sharedClients = caddy.NewUsagePool()

// A sharedClientKey has the name of a client and the digest of the options that
// its tokens depend on. A client with another digest starts without tokens.
type sharedClientKey struct{ name, digest string }

// A sharedClient is a client that several configurations share: two during a
// reload, otherwise one. It keeps no state of a single configuration, apart
// from the settings of the active ones.
type sharedClient struct {
	name    string
	source  *tokensource.Source
	issuer  issuer
	report  *observe.Report
	metrics *observe.Metrics
	fleet   *fleet.Issuer // that shares the tokens in the store, or nil

	settings activeList[*clientSettings]

	mu       sync.RWMutex
	signer   crypto.Signer // of the newest configuration, or nil
	store    fleet.Store   // of the newest configuration, or nil
	endpoint *endpoint     // of the newest configuration, even if it has stopped
	revision uint64        // of the endpoint
}

// A clientSettings holds the settings that an active configuration gives to a
// shared client.
type clientSettings struct {
	log      slog.Handler
	endpoint *endpoint
	signer   crypto.Signer // or nil
	store    fleet.Store   // or nil
	limits   tokensource.Limits
}

// newSharedClient returns the client of a resolved configuration.
func newSharedClient(name string, config *Client, settings *clientSettings) (*sharedClient, error) {
	c := &sharedClient{name: name, signer: settings.signer, store: settings.store}
	var err error
	if c.issuer, err = config.issuer(c, sharedSigner{c}); err != nil {
		return nil, err
	}
	c.report = observe.NewReport(slog.New(newestHandler{c}))
	if c.metrics, err = observe.NewMetrics(); err != nil {
		return nil, err
	}
	issuer := tokensource.Issuer(revisedIssuer{c.issuer, c})
	if c.fleet, err = c.shared(config, issuer); err != nil {
		return nil, optionErrorsOf(err)
	}
	if c.fleet != nil {
		issuer = c.fleet
	}
	c.source, err = tokensource.New(tokensource.Config{
		Issuer: issuer,
		Hooks:  tokensource.JoinHooks(c.metrics.Telemetry.SourceHooks(), c.report.SourceHooks()),
	})
	if err != nil {
		return nil, optionErrorsOf(err)
	}
	return c, c.metrics.Observe(c.source, c.fleet)
}

// addSettings makes the client use the settings of a configuration.
func (c *sharedClient) addSettings(p *clientSettings) {
	c.settings.add(p)
	c.applyNewest()
}

// removeSettings removes the settings of a configuration.
func (c *sharedClient) removeSettings(p *clientSettings) {
	c.settings.remove(p)
	c.applyNewest()
}

// applyNewest uses the endpoint and the limits of the newest configuration.
// Requests that outlive the last configuration keep its endpoint and limits.
func (c *sharedClient) applyNewest() {
	newest, ok := c.settings.newest()
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endpoint == nil || !newest.endpoint.sameAs(c.endpoint) {
		c.revision++
	}
	c.endpoint, c.signer, c.store = newest.endpoint, newest.signer, newest.store
	_ = c.source.SetLimits(newest.limits) // They were checked when the configuration was loaded.
}

// RoundTrip sends a token request over the endpoint of the newest
// configuration.
func (c *sharedClient) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.RLock()
	endpoint := c.endpoint
	c.mu.RUnlock()
	return endpoint.RoundTrip(req)
}

// CloseIdleConnections closes the idle connections to the token endpoint.
func (c *sharedClient) CloseIdleConnections() {
	c.mu.RLock()
	endpoint := c.endpoint
	c.mu.RUnlock()
	if endpoint != nil {
		endpoint.CloseIdleConnections()
	}
}

// Destruct implements [caddy.Destructor]. Requests that are still running keep
// their tokens.
func (c *sharedClient) Destruct() error {
	c.CloseIdleConnections()
	return c.metrics.Stop()
}

// revisedIssuer is an issuer whose revision also changes with the endpoint: a
// reload that corrects the endpoint ends the cooldown.
type revisedIssuer struct {
	issuer

	client *sharedClient
}

// Revision returns a value that changes with the credentials and the endpoint.
func (r revisedIssuer) Revision(ctx context.Context) string {
	credentials := r.issuer.Revision(ctx)
	if credentials == "" {
		return "" // The revision is unknown.
	}
	r.client.mu.RLock()
	defer r.client.mu.RUnlock()
	return credentials + "/" + strconv.FormatUint(r.client.revision, 10)
}
