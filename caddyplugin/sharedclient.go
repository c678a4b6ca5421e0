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
)

// sharedClients holds the tokens of all clients, so that they survive a reload
// of the configuration. It is package-level because nothing else outlives one.
var sharedClients = caddy.NewUsagePool()

// A sharedClientKey names a client, and what its tokens depend on: a client for
// which that has changed begins without tokens.
type sharedClientKey struct{ name, digest string }

// A sharedClient is what configurations share that have the same client: one
// configuration or, while one replaces another, two. It keeps nothing that
// belongs to one of them, but for what the active ones provide.
type sharedClient struct {
	name    string
	source  *tokensource.Source
	issuer  issuer
	report  *observe.Report
	metrics *observe.Metrics

	settings activeList[*clientSettings]

	mu       sync.RWMutex
	signer   crypto.Signer // of the newest configuration, or nil
	endpoint *endpoint     // of the newest configuration, even if it has stopped
	revision uint64        // of the endpoint
}

// A clientSettings is what a configuration provides to a shared client while it
// is active.
type clientSettings struct {
	log      slog.Handler
	endpoint *endpoint
	signer   crypto.Signer // or nil
	limits   tokensource.Limits
}

// newSharedClient returns the client of a resolved configuration.
func newSharedClient(name string, config *Client, signer crypto.Signer) (*sharedClient, error) {
	c := &sharedClient{name: name, signer: signer}
	var err error
	if c.issuer, err = config.issuer(c, sharedSigner{c}); err != nil {
		return nil, err
	}
	c.report = observe.NewReport(slog.New(newestHandler{c}))
	if c.metrics, err = observe.NewMetrics(); err != nil {
		return nil, err
	}
	c.source, err = tokensource.New(tokensource.Config{
		Issuer: revisedIssuer{c.issuer, c},
		Hooks:  tokensource.JoinHooks(c.metrics.Telemetry.SourceHooks(), c.report.SourceHooks()),
	})
	if err != nil {
		return nil, optionErrorsOf(err)
	}
	return c, c.metrics.ObserveSource(c.source)
}

// addSettings has the client use what a configuration provides.
func (c *sharedClient) addSettings(p *clientSettings) {
	c.settings.add(p)
	c.applyNewest()
}

// removeSettings takes back what a configuration provides.
func (c *sharedClient) removeSettings(p *clientSettings) {
	c.settings.remove(p)
	c.applyNewest()
}

// applyNewest uses the endpoint and the limits of the newest configuration.
// Requests that outlive the last configuration go on with those there were.
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
	c.endpoint, c.signer = newest.endpoint, newest.signer
	_ = c.source.SetLimits(newest.limits) // They were checked when the configuration was loaded.
}

// RoundTrip sends a token request as the newest configuration has it sent.
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

// Destruct implements [caddy.Destructor]. Requests that are still running have
// the tokens until they end.
func (c *sharedClient) Destruct() error {
	c.CloseIdleConnections()
	return c.metrics.Stop()
}

// revisedIssuer is an issuer whose revision changes with the way to the token
// endpoint too: a reload that mends it ends the cooldown.
type revisedIssuer struct {
	issuer

	client *sharedClient
}

// Revision returns what changes with the credentials and the endpoint.
func (r revisedIssuer) Revision(ctx context.Context) string {
	credentials := r.issuer.Revision(ctx)
	if credentials == "" {
		return "" // It cannot be told now.
	}
	r.client.mu.RLock()
	defer r.client.mu.RUnlock()
	return credentials + "/" + strconv.FormatUint(r.client.revision, 10)
}
