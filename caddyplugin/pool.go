package caddyplugin

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// pool holds the tokens of all clients, so that they survive a reload of the
// configuration. It is package-level because nothing else outlives one.
var pool = caddy.NewUsagePool()

// A poolKey names a client, and what it was configured with: one whose
// configuration has changed begins without tokens. The credentials are part of
// it as placeholders; what they stand for is read at each issuance.
type poolKey struct{ name, digest string }

// A live client is one that is in use, by one configuration or, while one
// replaces another, by two. It holds no logger, context or registry of either,
// but the logger that the running one has lent it.
type live struct {
	name        string
	source      *tokensource.Source
	issuer      *passport.S2S
	hosts       []string
	certificate *passport.ClientCertificate // or nil
	report      *report
	metrics     *metrics
}

// newLive returns the live client of a resolved configuration.
func newLive(name string, config *Client) (*live, error) {
	if err := checkHosts(config.Hosts); err != nil {
		return nil, err
	}
	issuer, certificate, err := config.issuer()
	if err != nil {
		return nil, err
	}
	l := &live{name: name, issuer: issuer, hosts: config.Hosts, certificate: certificate, report: newReport()}
	if l.metrics, err = newMetrics(); err != nil {
		return nil, err
	}
	l.source, err = config.source(issuer, tokensource.JoinHooks(l.metrics.telemetry.Source(), l.report.hooks()))
	if err != nil {
		return nil, err
	}
	return l, l.metrics.observe(l.source)
}

// A lease is a live client that a configuration uses, and the key to give it
// back to the pool with. It is new if no other configuration uses it.
type lease struct {
	*live
	key   poolKey
	isNew bool
}

// newLease returns a lease of the client that has a configuration.
func newLease(name string, config *Client) (lease, error) {
	resolved, err := config.resolve(caddy.NewReplacer())
	if err != nil {
		return lease{}, err
	}
	digest, err := resolved.digest()
	if err != nil {
		return lease{}, err
	}
	key := poolKey{name, digest}
	value, loaded, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return newLive(name, resolved)
	})
	if err != nil {
		return lease{}, err
	}
	client, ok := value.(*live)
	if !ok {
		return lease{}, fmt.Errorf("the pool holds a %T", value) // Not reached.
	}
	return lease{client, key, !loaded}, nil
}

// Destruct implements [caddy.Destructor]. Requests that are still running have
// the tokens until they end.
func (l *live) Destruct() error {
	l.issuer.Client.CloseIdleConnections()
	return l.metrics.stop()
}
