package caddyplugin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/transport"
)

// dialed is what a request has for the transport beneath: the address that is
// dialed for a URL, and a Host.
type dialed struct {
	url  url.URL
	host string
}

// dialKey is the key of a request's *dialed in its context.
type dialKey struct{}

// base is what really sends requests. It gives them back the address that is
// dialed: above it they have the host that TLS proves.
type base struct{ tracing }

func newBase(http *reverseproxy.HTTPTransport) base { return base{newTracing(http)} }

// RoundTrip sends a request, which is a copy made for it.
func (b base) RoundTrip(out *http.Request) (*http.Response, error) {
	if to, ok := out.Context().Value(dialKey{}).(*dialed); ok {
		out.URL, out.Host = &to.url, to.host
	}
	// Without it, net/http would send a payment that has an idempotency key
	// again by itself. reverse_proxy does not have it either.
	out.GetBody = nil
	return b.tracing.RoundTrip(out)
}

// pin gives a request the URL of the host that its upstream is proved to be.
// What is proved by nothing counts as plain HTTP.
func (t *Transport) pin(out *http.Request, to dialed) {
	target := target{network: "tcp", host: to.url.Hostname(), scheme: to.url.Scheme}
	info, ok := reverseproxy.GetDialInfo(out.Context())
	// A health check that is redirected is dialed where it was before, but the
	// certificate has to be that of the host it is redirected to.
	if ok && (!redirected(out) || target.scheme != "https") {
		target.network, target.host = info.Network, info.Host
	}
	out.Host = addressee(out, to, info.Address)
	to.url.Scheme, to.url.Host = t.proved(target, replacerOf(out.Context()))
	out.URL = &to.url
}

// redirected reports whether a request is a health check that an upstream has
// redirected: reverse_proxy leaves other redirects to its clients.
func redirected(out *http.Request) bool { return out.Response != nil }

// addressee returns the Host of a request if it must be one of the client's
// hosts, and else nothing: a Host that is the upstream's address is the
// configuration's, and nobody else's.
func addressee(out *http.Request, to dialed, address string) string {
	host := out.Host
	if host == "" {
		host = to.url.Host
	}
	switch {
	case host == address, host == to.url.Host && !redirected(out):
		return ""
	case host == to.url.Host:
		return bracketed(to.url.Hostname()) // The port is none of a certificate's business.
	default:
		return host
	}
}

// A target is where a request is dialed to.
type target struct{ network, host, scheme string }

// proved returns the scheme and the host that a token for a target needs.
func (t *Transport) proved(to target, repl *caddy.Replacer) (scheme, host string) {
	verified := to.scheme == "https" && (t.TLS == nil || !t.TLS.InsecureSkipVerify)
	switch {
	case verified && t.TLS != nil && t.TLS.ServerName != "":
		return "https", bracketed(repl.ReplaceAll(t.TLS.ServerName, ""))
	case verified:
		return "https", bracketed(to.host)
	case caddy.IsUnixNetwork(to.network) && to.scheme == "http":
		return "http", "localhost"
	case t.proxied(to):
		return "http", "" // What is loopback to a proxy is not this machine.
	default:
		return "http", bracketed(to.host)
	}
}

// proxied reports whether requests to a target go through a proxy. That of the
// environment is not for what is loopback.
func (t *Transport) proxied(to target) bool {
	proxy, err := t.Transport.Proxy(&http.Request{URL: &url.URL{Scheme: to.scheme, Host: bracketed(to.host)}})
	return proxy != nil || err != nil
}

// checkUpstream returns why an upstream of the configuration would get no
// token. Those that have placeholders are checked for each request.
func (t *Transport) checkUpstream(dial string) error {
	if strings.Contains(dial, "{") || t.TLS != nil && strings.Contains(t.TLS.ServerName, "{") {
		return nil
	}
	address, err := caddy.ParseNetworkAddress(dial)
	if err != nil {
		return nil //nolint:nilerr // reverse_proxy says so.
	}
	to := target{network: address.Network, host: address.Host, scheme: "http"}
	if t.TLS != nil && !slices.Contains(t.TLS.ExceptPorts, fmt.Sprint(address.StartPort)) {
		to.scheme = "https"
	}
	scheme, host := t.proved(to, caddy.NewReplacer())
	switch err := t.authorized.Accepts(&url.URL{Scheme: scheme, Host: host}); {
	case err == nil:
		return nil
	case to.scheme == "https" && t.TLS.InsecureSkipVerify:
		return &fault{"tls_insecure_skip_verify", fmt.Errorf("anybody could be upstream %s, and would get the token; use tls_trust_pool, or tls_server_name", dial)}
	case scheme == "http" && host == "":
		return &fault{"network_proxy", fmt.Errorf("would see the token for upstream %s in the clear; use https://", dial)}
	case errors.Is(err, transport.ErrPlaintext):
		return &fault{"upstream " + dial, errors.New("would get the token in the clear; use https://")}
	default:
		return &fault{"upstream " + dial, fmt.Errorf("%s is not in hosts; add it to those of the client, or set tls_server_name to what the upstream's certificate proves", host)}
	}
}
