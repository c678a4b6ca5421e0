package caddyplugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(App{})
}

// App holds the clients of the Pismo platform that the other modules use: their
// credentials, and the tokens that are issued for them.
type App struct {
	// The clients, by name.
	Clients map[string]*Client `json:"clients,omitempty"`

	live   map[string]*live
	keys   []poolKey
	logger *zap.Logger
	lent   []loan
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "pismo",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the clients, or takes over those that have not changed. It
// contacts no one.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.live = make(map[string]*live, len(a.Clients))
	for _, name := range slices.Sorted(maps.Keys(a.Clients)) {
		if err := a.provision(ctx, name); err != nil {
			return fmt.Errorf("client %s: %w", name, err)
		}
	}
	return nil
}

// provision sets up a client, or takes it over.
func (a *App) provision(ctx caddy.Context, name string) error {
	config := a.Clients[name]
	if config == nil {
		config = new(Client)
	}
	client, err := newLease(name, config)
	if err != nil {
		return err
	}
	a.keys = append(a.keys, client.key)
	a.live[name] = client.live
	if client.isNew { // Nobody else's: what fails before Start is to be seen, too.
		a.lend(client.live)
	}
	if err := client.metrics.register(ctx.GetMetricsRegistry(), name); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return readable(ctx, client.issuer)
}

// lend has a client use this configuration's logger.
func (a *App) lend(client *live) {
	a.lent = append(a.lent, client.report.lend(a.logger.With(zap.String("client", client.name))))
}

// Start lends the clients this configuration's logger. A configuration that
// does not come to start leaves them the one they have.
func (a *App) Start() error {
	for _, client := range a.live {
		a.lend(client)
	}
	return nil
}

// Stop takes the logger back. What another configuration has lent stays.
func (a *App) Stop() error {
	for _, loan := range a.lent {
		loan.takeBack()
	}
	a.lent = nil
	return nil
}

// Cleanup gives the clients back to the pool, where the next configuration may
// have found them.
func (a *App) Cleanup() error {
	var faults []error
	for _, key := range a.keys {
		_, err := pool.Delete(key)
		faults = append(faults, err)
	}
	a.keys = nil
	return errors.Join(faults...)
}

// client returns the client with a name, or the only one if the name is empty.
func (a *App) client(name string) (*live, error) {
	names := slices.Sorted(maps.Keys(a.live))
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("there is no client; define one with the global option: pismo { client <name> { … } }")
	case name == "" && len(names) == 1:
		return a.live[names[0]], nil
	case name == "":
		return nil, fmt.Errorf("there are several clients: name one of %s", strings.Join(names, ", "))
	}
	client, ok := a.live[name]
	if !ok {
		return nil, fmt.Errorf("client %s is not defined; there are: %s", name, strings.Join(names, ", "))
	}
	return client, nil
}

// clientOf returns a client of the configuration that is being provisioned.
func clientOf(ctx caddy.Context, name string) (*live, error) {
	value, err := ctx.App("pismo")
	if err != nil {
		return nil, err
	}
	app, ok := value.(*App)
	if !ok {
		return nil, fmt.Errorf("the app pismo is a %T", value) // Not reached.
	}
	return app.client(name)
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
