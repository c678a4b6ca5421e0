// SPDX-License-Identifier: Apache-2.0

package transport

import "github.com/pismoauth/pismoauth/tokensource"

// An UnsentError is the reason why a request was not sent. Neither the request
// nor a token request has left the program. Every UnsentError wraps
// [tokensource.ErrMisconfigured]: the program has to change.
type UnsentError string

// The reasons not to send a request.
const (
	// ErrHostNotListed: the host is not in Config.Hosts. A mistyped host
	// must get neither a token nor an unauthenticated payment.
	ErrHostNotListed UnsentError = "the host is not in Config.Hosts"
	// ErrPlaintext: the host is listed, but the scheme is neither https nor, for a
	// host on loopback, http. The request would carry the token in the clear.
	ErrPlaintext UnsentError = "the scheme is not https, and the host is not loopback"
	// ErrRequestTarget: URL.Opaque or URL.Path would send the token to
	// another host than URL.Host. A server or a proxy would read either of
	// them as a URL.
	ErrRequestTarget UnsentError = "the URL is not a path of its host; leave URL.Opaque empty, and begin URL.Path with a slash"
	// ErrHostHeader: Request.Host of a request over https is not in Config.Hosts.
	// A CDN would route the request, with its token, to that host. A reverse proxy
	// that keeps the Host of its client's request lets the client choose that
	// host. Over http the Transport clears Request.Host instead.
	ErrHostHeader UnsentError = "the Host of the request is not in Config.Hosts; leave Request.Host empty, as httputil.ProxyRequest.SetURL does"
	// ErrBodyMissing: the request has a ContentLength, but no Body. Over
	// HTTP/1.1 net/http refuses a nil Body. Over HTTP/2, and for
	// http.NoBody, it would send the request without a body.
	ErrBodyMissing UnsentError = "Request.ContentLength is set, but Request.Body is nil or http.NoBody; set both or neither"
	// ErrAuthorizationPresent: the request has credentials of its own.
	ErrAuthorizationPresent UnsentError = "the request has an Authorization of its own; remove it, or use a client without this transport"
	// ErrNoAccount: neither the context nor Config.Account names the
	// account of the request.
	ErrNoAccount UnsentError = "neither the context nor Config.Account names an account; use tokensource.ContextWithAccount"
	// ErrAccountConflict: the context and Config.Account name different
	// accounts.
	ErrAccountConflict UnsentError = "the account of the context differs from Config.Account; name the same account, or leave Config.Account empty"
	// ErrNoRoute: no pattern of a [Router] matches the request, and the Router
	// has no default. Or a server might read the request as another path, and
	// no pattern may match it; see [NewRouter].
	ErrNoRoute UnsentError = `no pattern of the Router matches the request; add a pattern, or the default "". "/accounts/" does not match "/accounts". Nothing matches CONNECT, a URL.Opaque, or a path with a dot segment`
	// ErrRedirectedBody: a server redirected a request that has a body to a URL
	// that gets no token: the host is not in Config.Hosts, or the scheme is http.
	// The body may be a payment.
	ErrRedirectedBody UnsentError = "a redirect would take the body to a host that is not in Config.Hosts; set http.Client.CheckRedirect"
	// ErrRedirectedBack: a URL that gets no token redirected the request to a
	// listed host. An unlisted host, or anybody on the path of plain http, would
	// choose the use of the token.
	ErrRedirectedBack UnsentError = "a host that is not in Config.Hosts redirected the request here; set http.Client.CheckRedirect"
)

// Error returns the reason.
func (u UnsentError) Error() string { return "pismoauth: request not sent: " + string(u) }

// Unwrap returns [tokensource.ErrMisconfigured].
func (u UnsentError) Unwrap() error { return tokensource.ErrMisconfigured }

// Permanent returns true: the same request will fail again. See
// [tokensource.IsPermanent].
func (u UnsentError) Permanent() bool { return true }

// ErrorType returns "misconfigured", for OpenTelemetry's error.type.
func (u UnsentError) ErrorType() string { return string(tokensource.ErrMisconfigured) }
