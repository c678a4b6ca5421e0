// SPDX-License-Identifier: Apache-2.0

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

// baseTransport sends requests over the network. It restores the dialed
// address: the layers above see the host that TLS proves.
type baseTransport struct{ observe.Tracing }

func newBase(connections http.RoundTripper) baseTransport {
	return baseTransport{observe.NewTracing(connections)}
}

// RoundTrip sends a request. The request must be a copy, because RoundTrip
// changes it.
func (b baseTransport) RoundTrip(out *http.Request) (*http.Response, error) {
	if to, ok := out.Context().Value(dialKey{}).(*dialTarget); ok {
		out.URL, out.Host = &to.url, to.host
	}
	// With GetBody, net/http would resend a payment that has an idempotency key.
	// reverse_proxy sends requests without GetBody, too.
	out.GetBody = nil
	return b.Tracing.RoundTrip(out)
}

// pinVerifiedHost sets the URL of a request to the host that TLS proves, and
// the Host to a value that the client has not chosen. Over plain HTTP that is
// the Host of the upstream, unless the configuration sets a Host.
func (t *Transport) pinVerifiedHost(out *http.Request, to *dialTarget) error {
	target := target{network: "tcp", host: to.url.Hostname(), scheme: to.url.Scheme}
	address := to.url.Host
	info, ok := reverseproxy.GetDialInfo(out.Context())
	if ok {
		address = info.Address
	}
	// A redirected health check is dialed at the old address, but the certificate
	// must be that of the new host.
	if ok && (!isRedirected(out) || target.scheme != "https") {
		target.network, target.host = info.Network, info.Host
	}
	if target.scheme == "http" && !t.setsHost && isClientRequest(out) {
		to.host = address
		if caddy.IsUnixNetwork(target.network) {
			to.host = "localhost" // A socket path cannot be a Host.
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

// isRedirected reports whether a request is a redirected health check.
// reverse_proxy leaves all other redirects to its clients.
func isRedirected(out *http.Request) bool { return out.Response != nil }

// hostHeaderToCheck returns the Host of a request if it must be in the client's
// hosts, and otherwise "". A Host that is the upstream's address needs no
// check: the configuration chose it.
func hostHeaderToCheck(out *http.Request, to *dialTarget, address string) string {
	host := out.Host
	if host == "" {
		host = to.url.Host
	}
	switch {
	case host == address, host == to.url.Host && !isRedirected(out):
		return ""
	case host == to.url.Host:
		return bracketIPv6(to.url.Hostname()) // A certificate has no port.
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

// verifiedTarget returns the scheme and the host with which a target is checked
// before it gets a token.
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
		return "http", "" // The loopback of a proxy is not this machine.
	default:
		return "http", bracketIPv6(to.host)
	}
}

// usesProxy reports whether requests to a target go through a proxy. The proxy
// of the environment does not apply to loopback addresses.
func (t *Transport) usesProxy(to target) bool {
	proxy, err := t.Transport.Proxy(&http.Request{URL: &url.URL{Scheme: to.scheme, Host: bracketIPv6(to.host)}})
	return proxy != nil || err != nil
}
