package transport

import "github.com/pismoauth/pismoauth/tokensource"

// An UnsentError says why a request was not sent. Nothing of it has left the
// program, not even a token request. All of them are
// [tokensource.ErrMisconfigured] too: the program has to change.
type UnsentError string

// The reasons not to send a request.
const (
	// ErrHostNotListed: a mistyped host must get neither a token nor an
	// unauthenticated payment.
	ErrHostNotListed UnsentError = "the host is not in Config.Hosts"
	// ErrPlaintext: the host is listed, but the request would carry the token
	// in the clear, and not to this machine.
	ErrPlaintext UnsentError = "the scheme is not https, and the host is not loopback"
	// ErrRequestTarget: URL.Opaque or URL.Path would send the token to another
	// host than URL.Host. A server, or a proxy in between, reads them as a URL
	// of their own.
	ErrRequestTarget UnsentError = "the URL is not a path of its host; leave URL.Opaque empty, and begin URL.Path with a slash"
	// ErrHostHeader: Request.Host is not in Config.Hosts. A CDN would route the
	// request, with its token, to that host. A reverse proxy that leaves
	// Request.Host as its client has set it lets the client choose.
	ErrHostHeader UnsentError = "the Host of the request is not in Config.Hosts; leave Request.Host empty, as httputil.ProxyRequest.SetURL does"
	// ErrBodyMissing: the request has a ContentLength, but no Body. net/http
	// refuses a nil Body over HTTP/1.1. It would send nothing over HTTP/2, and
	// for http.NoBody.
	ErrBodyMissing UnsentError = "Request.ContentLength is set, but Request.Body is nil or http.NoBody; set both or neither"
	// ErrAuthorizationPresent: the request has credentials of its own.
	ErrAuthorizationPresent UnsentError = "the request has an Authorization of its own; remove it, or use a client without this transport"
	// ErrNoAccount: nothing says for which account the request is.
	ErrNoAccount UnsentError = "neither the context nor Config.Account names an account; use tokensource.ContextWithAccount"
	// ErrAccountConflict: the context and Config.Account name two accounts.
	ErrAccountConflict UnsentError = "the account of the context is not that of Config.Account"
	// ErrRedirectedBody: a server redirected a request that has a body to a
	// host that is not in Config.Hosts. The body may be a payment.
	ErrRedirectedBody UnsentError = "a redirect would take the body to a host that is not in Config.Hosts; set http.Client.CheckRedirect"
	// ErrRedirectedBack: a host that is not in Config.Hosts redirected the
	// request to one that is. That host would choose what is done with the
	// token.
	ErrRedirectedBack UnsentError = "a host that is not in Config.Hosts redirected the request here; set http.Client.CheckRedirect"
)

// Error returns the reason.
func (u UnsentError) Error() string { return "pismoauth: request not sent: " + string(u) }

// Unwrap returns [tokensource.ErrMisconfigured].
func (u UnsentError) Unwrap() error { return tokensource.ErrMisconfigured }

// Permanent returns true: sending the same request again fails in the same way.
// See [tokensource.IsPermanent].
func (u UnsentError) Permanent() bool { return true }

// ErrorType returns "misconfigured", for OpenTelemetry's error.type.
func (u UnsentError) ErrorType() string { return string(tokensource.ErrMisconfigured) }
