package caddyplugin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/observe"
	"github.com/pismoauth/pismoauth/transport"
)

// dialTarget is what a request has for the transport below: the address that
// is dialed for a URL, and a Host.
type dialTarget struct {
	url  url.URL
	host string
}

// dialKey is the key of a request's *dialed in its context.
type dialKey struct{}

// baseTransport is what really sends requests. It gives them back the address
// that is dialed: above it they have the host that TLS proves.
type baseTransport struct{ observe.Tracing }

func newBase(connections http.RoundTripper) baseTransport {
	return baseTransport{observe.NewTracing(connections)}
}

// RoundTrip sends a request, which is a copy made for it.
func (b baseTransport) RoundTrip(out *http.Request) (*http.Response, error) {
	if to, ok := out.Context().Value(dialKey{}).(*dialTarget); ok {
		out.URL, out.Host = &to.url, to.host
	}
	// Without it, net/http would send a payment that has an idempotency key
	// again by itself. reverse_proxy does not have it either.
	out.GetBody = nil
	return b.Tracing.RoundTrip(out)
}

// pinVerifiedHost gives a request the URL of the host that its upstream is
// proved to be, and a Host that its client has not chosen: over plain HTTP that
// of the upstream, unless the configuration sets one.
func (t *Transport) pinVerifiedHost(out *http.Request, to *dialTarget) error {
	target := target{network: "tcp", host: to.url.Hostname(), scheme: to.url.Scheme}
	address := to.url.Host
	info, ok := reverseproxy.GetDialInfo(out.Context())
	if ok {
		address = info.Address
	}
	// A health check that is redirected is dialed where it was before, but the
	// certificate has to be that of the host it is redirected to.
	if ok && (!isRedirected(out) || target.scheme != "https") {
		target.network, target.host = info.Network, info.Host
	}
	if target.scheme == "http" && !t.setsHost && isClientRequest(out) {
		to.host = address
		if caddy.IsUnixNetwork(target.network) {
			to.host = "localhost" // A path is no Host.
		}
		out.Host = address
	}
	out.Host = hostHeaderToCheck(out, to, address)
	pinned := to.url
	pinned.Scheme, pinned.Host = t.verifiedTarget(target, replacerOf(out.Context()))
	out.URL = &pinned
	if out.Host != "" && !t.isListed(out.Host) {
		return transport.ErrHostHeader
	}
	return nil
}

// isListed reports whether a Host is one of the hosts that may receive a token.
func (t *Transport) isListed(host string) bool {
	return t.authorized.Accepts(&url.URL{Scheme: "https", Host: host}) == nil
}

// isRedirected reports whether a request is a health check that an upstream has
// redirected: reverse_proxy leaves other redirects to its clients.
func isRedirected(out *http.Request) bool { return out.Response != nil }

// hostHeaderToCheck returns the Host of a request if it must be one of the
// client's hosts, and else nothing: a Host that is the upstream's address is
// the configuration's, and nobody else's.
func hostHeaderToCheck(out *http.Request, to *dialTarget, address string) string {
	host := out.Host
	if host == "" {
		host = to.url.Host
	}
	switch {
	case host == address, host == to.url.Host && !isRedirected(out):
		return ""
	case host == to.url.Host:
		return bracketIPv6(to.url.Hostname()) // The port is none of a certificate's business.
	default:
		return host
	}
}

// dialAddress returns the address that a request is dialed to.
func dialAddress(ctx context.Context) string {
	info, _ := reverseproxy.GetDialInfo(ctx)
	return info.Address
}

// A target is where a request is dialed to.
type target struct{ network, host, scheme string }

// verifiedTarget returns the scheme and the host that a token for a target
// needs.
func (t *Transport) verifiedTarget(to target, repl *caddy.Replacer) (scheme, host string) {
	verified := to.scheme == "https" && (t.TLS == nil || !t.TLS.InsecureSkipVerify)
	switch {
	case verified && t.TLS != nil && t.TLS.ServerName != "":
		return "https", bracketIPv6(repl.ReplaceAll(t.TLS.ServerName, ""))
	case verified:
		return "https", bracketIPv6(to.host)
	case caddy.IsUnixNetwork(to.network) && to.scheme == "http":
		return "http", "localhost"
	case t.usesProxy(to):
		return "http", "" // What is loopback to a proxy is not this machine.
	default:
		return "http", bracketIPv6(to.host)
	}
}

// usesProxy reports whether requests to a target go through a proxy. That of
// the environment is not for what is loopback.
func (t *Transport) usesProxy(to target) bool {
	proxy, err := t.Transport.Proxy(&http.Request{URL: &url.URL{Scheme: to.scheme, Host: bracketIPv6(to.host)}})
	return proxy != nil || err != nil
}
