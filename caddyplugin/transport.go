// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/transport"
)

func init() {
	caddy.RegisterModule(Transport{})
}

// Transport is the transport of a `reverse_proxy` to the Pismo platform. It is
// the transport `http`, with all its options, and adds the token of the
// request's account. It replaces Authorization in every request that gets a
// token. A token that the platform refuses is renewed, and the request
// replayed: once, however many upstreams are tried, and never because of a 401
// that is a business response. If the token is refused again, or cannot be
// renewed, the client gets a 502, and not the 401.
//
// An upstream gets a token only if TLS proves that it is one of the client's
// `hosts`: by `tls_server_name` if that is set, and else by its address. Plain
// HTTP, and TLS that proves nothing, are for loopback addresses and unix
// sockets.
//
// Requests that the plugin cannot send are answered with problem details, so
// that `reverse_proxy` does not count them against the upstream.
// `unhealthy_status` does not count them either. `unhealthy_latency` and a
// circuit breaker do: use `pismo_auth` in front, which answers most of them
// before an upstream is chosen.
//
// Active health checks are sent without a token, unless `health_account` names
// an account. A check passes if the upstream refuses it for want of a token, or
// if no token can be issued. A failed health check never opens the breaker of
// the client. It can put its own account in a cooldown, so use an account that
// serves no clients.
//
// Without `pismo_auth`, a Caddyfile is:
//
//	reverse_proxy https://sandbox.pismolabs.io {
//		transport pismo {
//			account organization
//		}
//	}
//
// In most Caddyfiles the directive `pismo_proxy` writes all of it, see the
// module `http.handlers.pismo_auth`.
type Transport struct {
	*reverseproxy.HTTPTransport

	// The name of a client in the app `pismo`. Default: the only client.
	Client string `json:"client,omitempty"`

	// The account, if there is no `pismo_auth` in front: a placeholder whose value
	// is the account's id, the word `organization`, or an account's id. If there
	// is a `pismo_auth`, leave this empty: a request for which the two differ
	// fails.
	Account string `json:"account,omitempty"`

	// A regular expression that the whole value of the placeholder must match.
	// Otherwise the request is refused with 403.
	AccountPattern string `json:"account_pattern,omitempty"`

	// The length in bytes of the longest request body that is kept in memory, so
	// that the request can be replayed after a 401. Longer bodies, and bodies of
	// unknown length, stream and are not replayed. Default: 64 KiB. Negative: no
	// body is kept (`off` in the Caddyfile).
	MaxReplayBody int64 `json:"max_replay_body,omitempty"`

	// A subset of the client's hosts that may receive a token from this transport,
	// each written exactly as the client resolves it. Placeholders are not
	// replaced. Default: all.
	Hosts []string `json:"hosts,omitempty"`

	// The account of active health checks: an account's id, the word
	// `organization`, or the word `off` for health checks without a token.
	// Default: `off`.
	HealthAccount string `json:"health_account,omitempty"`

	// How Caddy answers a failure of its own, not of the upstream. Empty: problem
	// details. `handle`: failures go to the error routes (`handle_errors`).
	Errors string `json:"errors,omitempty"`

	client     *clientRef
	account    accountRule
	base       baseTransport
	authorized *transport.Transport
	health     healthChecks
	setsHost   bool  // The configuration sets the Host of requests.
	unhealthy  []int // The option unhealthy_status of the reverse_proxy.
}

// newTransport returns a Transport to configure.
func newTransport() *Transport {
	return &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.pismo",
		New: func() caddy.Module { return newTransport() },
	}
}

// Provision finds the client, checks the options and the upstreams, and sets up
// the transport below.
func (t *Transport) Provision(ctx caddy.Context) error {
	client, err := clientOf(ctx, t.Client)
	if err != nil {
		return err
	}
	t.client = client
	if err := t.provisionTransports(ctx); err != nil {
		return fmt.Errorf("client %s: %w", client.name, err)
	}
	return nil
}

func (t *Transport) provisionTransports(ctx caddy.Context) error {
	var err error
	if t.account, err = newAccountRule(t.Account, t.AccountPattern); err != nil {
		return err
	}
	t.account.refuseRounded(ctx)
	if t.health, err = newHealthChecks(t.HealthAccount); err != nil {
		return err
	}
	if err := checkErrors(t.Errors); err != nil {
		return err
	}
	hosts, err := t.allowedHosts()
	if err != nil {
		return err
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	connections, err := t.connections()
	if err != nil {
		return err
	}
	t.base = newBase(connections)
	t.authorized, err = transport.New(transport.Config{
		Source:        t.client.source,
		Hosts:         hosts,
		Base:          t.base,
		Hooks:         transport.JoinHooks(t.client.metrics.Telemetry.TransportHooks(), t.client.report.TransportHooks()),
		MaxAttempts:   1, // The options of reverse_proxy control further attempts.
		MaxReplayBody: t.MaxReplayBody,
	})
	if err != nil {
		return optionErrorsOf(err)
	}
	return t.provisionProxy(ctx)
}

// allowedHosts returns the hosts that may receive a token.
func (t *Transport) allowedHosts() ([]string, error) {
	if len(t.Hosts) == 0 {
		return t.client.hosts, nil
	}
	for _, host := range t.Hosts {
		if !slices.Contains(t.client.hosts, host) {
			return nil, &optionError{"hosts", fmt.Errorf("%q is not in hosts of the client: add the host there, or remove it here", host)}
		}
	}
	return t.Hosts, nil
}

// connections returns the transport below. It presents the client's
// certificate, unless the transport has its own certificate.
func (t *Transport) connections() (http.RoundTripper, error) {
	certificate := t.client.certificate
	if certificate == nil || t.TLS == nil || t.TLS.ClientCertificateFile != "" || t.TLS.ClientCertificateAutomate != "" {
		return t.HTTPTransport, nil
	}
	if slices.Equal(t.Versions, []string{"3"}) {
		return nil, &optionError{"versions", errors.New("HTTP/3 cannot present client_certificate: set tls_client_auth, or versions 1.1 2")}
	}
	if t.Transport.TLSClientConfig == nil {
		t.Transport.TLSClientConfig = new(tls.Config)
	}
	// HTTPTransport does some handshakes itself, with this configuration.
	t.Transport.TLSClientConfig.GetClientCertificate = certificate.GetClientCertificate
	return certificate.RoundTripper(t.Transport), nil
}

// Cleanup closes the connections that are idle.
func (t *Transport) Cleanup() error {
	if t.authorized != nil {
		t.base.CloseIdleConnections()
	}
	return t.HTTPTransport.Cleanup()
}

// Interface guards.
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)
