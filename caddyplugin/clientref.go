// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A clientRef is the reference of one configuration to a shared client.
type clientRef struct {
	*sharedClient

	app      *App
	key      sharedClientKey
	isNew    bool     // No other configuration uses the shared client.
	hosts    []string // that may receive a token
	settings *clientSettings

	certificate *passport.ClientCertificate // or nil
}

// newClientRef returns a reference to the shared client of a configuration. The
// tokens belong to the shared client. The caller must release the reference.
func newClientRef(ctx caddy.Context, name string, config *Client, app *App) (*clientRef, error) {
	resolved, err := config.resolve(caddy.NewReplacer())
	if err != nil {
		return nil, err
	}
	signer, err := resolved.loadSigner(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := resolved.issuer(nil, signer); err != nil { // The shared client was checked with other options.
		return nil, err
	}
	store, err := resolved.loadStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := resolved.checkStoreKey(ctx); err != nil {
		return nil, err
	}
	if err := checkHosts(resolved.Hosts); err != nil {
		return nil, err
	}
	limits := resolved.limits()
	if err := limits.Validate(); err != nil {
		return nil, optionErrorsOf(err)
	}
	certificate, err := resolved.certificate()
	if err != nil {
		return nil, err
	}
	endpoint, err := newEndpoint(ctx, resolved, certificate)
	if err != nil {
		return nil, err
	}
	l := &clientRef{
		app:         app,
		hosts:       resolved.Hosts,
		certificate: certificate,
		settings:    &clientSettings{ctx.Slogger().With("client", name).Handler(), endpoint, signer, store, limits},
	}
	if err := l.acquire(name, resolved); err != nil {
		_ = endpoint.close() // The first error matters more.
		return nil, err
	}
	if l.isNew { // Failures before Start must be logged, too.
		l.addSettings(l.settings)
	}
	return l, nil
}

// acquire finds the shared client, or creates it.
func (l *clientRef) acquire(name string, resolved *Client) error {
	digest, err := resolved.digest()
	if err != nil {
		return err
	}
	l.key = sharedClientKey{name, digest}
	value, loaded, err := sharedClients.LoadOrNew(l.key, func() (caddy.Destructor, error) {
		return newSharedClient(name, resolved, l.settings)
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

// activate makes the shared client use the settings of this configuration.
func (l *clientRef) activate() {
	l.removeSettings(l.settings) // The settings may be active already.
	l.addSettings(l.settings)
}

// deactivate removes the settings of this configuration.
func (l *clientRef) deactivate() { l.removeSettings(l.settings) }

// release returns the shared client to the pool. The next configuration may use
// it already.
func (l *clientRef) release() error {
	l.deactivate()
	_, err := sharedClients.Delete(l.key)
	return errors.Join(err, l.settings.endpoint.close())
}
