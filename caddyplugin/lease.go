package caddyplugin

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A lease is the use that one configuration makes of a shared client.
type lease struct {
	*sharedClient

	app      *App
	key      poolKey
	isNew    bool     // No other configuration uses the shared client.
	hosts    []string // that may receive a token
	provides *provision

	certificate *passport.ClientCertificate // or nil
}

// newLease returns a lease of the client that has a configuration, with the
// tokens there are. It has to be released.
func newLease(ctx caddy.Context, name string, config *Client, app *App) (*lease, error) {
	resolved, err := config.resolve(caddy.NewReplacer())
	if err != nil {
		return nil, err
	}
	if _, err := resolved.issuer(nil); err != nil { // The shared one may have been checked by other rules.
		return nil, err
	}
	if err := checkHosts(resolved.Hosts); err != nil {
		return nil, err
	}
	limits := resolved.limits()
	if err := limits.Validate(); err != nil {
		return nil, faultsOf(err)
	}
	certificate, err := resolved.certificate()
	if err != nil {
		return nil, err
	}
	endpoint, err := newEndpoint(ctx, resolved, certificate)
	if err != nil {
		return nil, err
	}
	l := &lease{
		app:         app,
		hosts:       resolved.Hosts,
		certificate: certificate,
		provides:    &provision{ctx.Logger().With(zap.String("client", name)), endpoint, limits},
	}
	if err := l.share(name, resolved); err != nil {
		_ = endpoint.close() // The error that counts is why.
		return nil, err
	}
	if l.isNew { // What fails before Start is to be seen, too.
		l.provide(l.provides)
	}
	return l, nil
}

// share finds the shared client, or makes it.
func (l *lease) share(name string, resolved *Client) error {
	digest, err := resolved.digest()
	if err != nil {
		return err
	}
	l.key = poolKey{name, digest}
	value, loaded, err := pool.LoadOrNew(l.key, func() (caddy.Destructor, error) {
		return newSharedClient(name, resolved)
	})
	if err != nil {
		return err
	}
	shared, ok := value.(*sharedClient)
	if !ok {
		return fmt.Errorf("the pool holds a %T", value) // Not reached.
	}
	l.sharedClient, l.isNew = shared, !loaded
	return nil
}

// start has the shared client use what this configuration provides.
func (l *lease) start() {
	l.withdraw(l.provides) // It may be provided already.
	l.provide(l.provides)
}

// stop takes back what this configuration provides.
func (l *lease) stop() { l.withdraw(l.provides) }

// release gives the shared client back to the pool, where the next configuration
// may have found it.
func (l *lease) release() error {
	l.stop()
	_, err := pool.Delete(l.key)
	return errors.Join(err, l.provides.endpoint.close())
}
