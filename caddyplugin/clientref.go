package caddyplugin

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A clientRef is the use that one configuration makes of a shared client.
type clientRef struct {
	*sharedClient

	app      *App
	key      sharedClientKey
	isNew    bool     // No other configuration uses the shared client.
	hosts    []string // that may receive a token
	settings *clientSettings

	certificate *passport.ClientCertificate // or nil
}

// newClientRef returns a reference to the shared client of a configuration, and
// so to its tokens. The caller must release the reference.
func newClientRef(ctx caddy.Context, name string, config *Client, app *App) (*clientRef, error) {
	resolved, err := config.resolve(caddy.NewReplacer())
	if err != nil {
		return nil, err
	}
	signer, err := resolved.loadSigner(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := resolved.issuer(nil, signer); err != nil { // The shared one may have been checked by other rules.
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
		settings:    &clientSettings{ctx.Slogger().With("client", name).Handler(), endpoint, signer, limits},
	}
	if err := l.acquire(name, resolved, signer); err != nil {
		_ = endpoint.close() // The error that counts is why.
		return nil, err
	}
	if l.isNew { // What fails before Start is to be seen, too.
		l.addSettings(l.settings)
	}
	return l, nil
}

// acquire finds the shared client, or makes it.
func (l *clientRef) acquire(name string, resolved *Client, signer crypto.Signer) error {
	digest, err := resolved.digest()
	if err != nil {
		return err
	}
	l.key = sharedClientKey{name, digest}
	value, loaded, err := sharedClients.LoadOrNew(l.key, func() (caddy.Destructor, error) {
		return newSharedClient(name, resolved, signer)
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

// activate has the shared client use what this configuration provides.
func (l *clientRef) activate() {
	l.removeSettings(l.settings) // It may be provided already.
	l.addSettings(l.settings)
}

// deactivate takes back what this configuration provides.
func (l *clientRef) deactivate() { l.removeSettings(l.settings) }

// release gives the shared client back to the pool, where the next
// configuration may have found it.
func (l *clientRef) release() error {
	l.deactivate()
	_, err := sharedClients.Delete(l.key)
	return errors.Join(err, l.settings.endpoint.close())
}
