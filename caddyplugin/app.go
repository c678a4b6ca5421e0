// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/pismoauth/pismoauth/caddyplugin/inspect" // The command "caddy pismo inspect".
	"github.com/pismoauth/pismoauth/caddyplugin/internal/observe"
)

func init() {
	caddy.RegisterModule(App{})
}

// App makes Caddy an authenticated client of the Pismo banking platform. It
// holds the clients that the other modules use: their credentials, and the
// tokens that are issued for them. A token usually lives for ten minutes. The
// app issues a token once, however many requests wait for it. It renews the
// token before it expires, and replaces a token that the platform refuses.
//
// In a Caddyfile, the global option `pismo` defines the clients, and the
// directive `pismo_proxy` is a `reverse_proxy` to the platform, with all its
// options. For each request it finds the account, obtains a token, and sends
// the request with the token:
//
//	{
//		pismo {
//			client main {
//				base_url      https://sandbox.pismolabs.io
//				server_key    {file./run/secrets/pismo-key}
//				server_secret {file./run/secrets/pismo-secret}
//			}
//		}
//	}
//
//	example.com {
//		basic_auth {
//			alice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
//		}
//		map {http.auth.user.id} {account} {
//			alice "102681871"
//		}
//		pismo_proxy https://sandbox.pismolabs.io {
//			account {account}
//		}
//	}
//
// Authenticate first: the choice of the account decides whose money moves.
// Give secrets as `{file.*}` or `{env.*}`. These are read at each issuance, and
// never become part of the configuration that Caddy saves and shows.
//
// The directive `metrics` serves the metrics. Do not scrape `/metrics` of the
// admin API: after a failed reload, it shows the configuration that failed, not
// the running configuration.
type App struct {
	// The clients, by name.
	Clients map[string]*Client `json:"clients,omitempty"`

	clientRefs map[string]*clientRef
	auths      [][]caddy.Module // each provisioned pismo_auth, with its parent modules
}

// activeApps holds the apps of the active configurations. It is package-level
// because the admin API outlives a configuration that fails to load. The API
// must find the running configuration.
var activeApps activeList[*App]

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "pismo",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the clients. A client that has not changed keeps its
// tokens. Provision contacts no server.
func (a *App) Provision(ctx caddy.Context) error {
	a.clientRefs = make(map[string]*clientRef, len(a.Clients))
	for _, name := range slices.Sorted(maps.Keys(a.Clients)) {
		if err := a.provisionClient(ctx, name); err != nil {
			return fmt.Errorf("client %s: %w", name, err)
		}
	}
	return nil
}

// provisionClient sets up a client, or reuses the shared client.
func (a *App) provisionClient(ctx caddy.Context, name string) error {
	config := a.Clients[name]
	if config == nil {
		config = new(Client)
	}
	client, err := newClientRef(ctx, name, config, a)
	if err != nil {
		return err
	}
	a.clientRefs[name] = client
	if err := client.metrics.Register(ctx.GetMetricsRegistry(), name); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return checkReadable(ctx, client.issuer)
}

// Start makes the clients use the loggers, limits and endpoint connections of
// this configuration. If a configuration fails to load, running clients keep
// their settings.
func (a *App) Start() error {
	for _, client := range a.clientRefs {
		client.activate()
	}
	activeApps.add(a)
	observe.LogTracingErrors()
	return nil
}

// Stop removes the settings that Start added. The settings of another active
// configuration stay.
func (a *App) Stop() error {
	activeApps.remove(a)
	for _, client := range a.clientRefs {
		client.deactivate()
	}
	return nil
}

// Cleanup releases the clients.
func (a *App) Cleanup() error {
	var faults []error
	for _, client := range a.clientRefs {
		faults = append(faults, client.release())
	}
	return errors.Join(faults...)
}

// client returns the client of that name, or the only client if name is empty.
func (a *App) client(name string) (*clientRef, error) {
	name, err := selectClient(slices.Sorted(maps.Keys(a.clientRefs)), name)
	return a.clientRefs[name], err
}

// selectClient returns the name of the client. An empty name selects the only
// client.
func selectClient(clients []string, name string) (string, error) {
	switch {
	case len(clients) == 0:
		return "", errors.New("there is no client; define one with the global option: pismo { client <name> { … } }")
	case name == "" && len(clients) == 1:
		return clients[0], nil
	case name == "":
		return "", fmt.Errorf("there are several clients: name one of %s", strings.Join(clients, ", "))
	case !slices.Contains(clients, name):
		return "", fmt.Errorf("client %s is not defined; there are: %s", name, strings.Join(clients, ", "))
	}
	return name, nil
}

// clientOf returns a client of the configuration that Caddy provisions.
func clientOf(ctx caddy.Context, name string) (*clientRef, error) {
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
