package transport

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pismoauth/pismoauth/internal/loopback"
	"github.com/pismoauth/pismoauth/tokensource"
)

// An Unsent says why a request was not sent. Nothing of it has left the
// program, not even a token request. All of them are
// [tokensource.ErrMisconfigured] too: the program has to change.
type Unsent string

// The reasons not to send a request.
const (
	// ErrHostNotListed: a mistyped host must get neither a token nor an
	// unauthenticated payment.
	ErrHostNotListed Unsent = "the host is not in Config.Hosts"
	// ErrPlaintext: the host is listed, but the request would carry the token
	// in the clear, and not to this machine.
	ErrPlaintext Unsent = "the scheme is not https, and the host is not loopback"
	// ErrHostHeader: the request's Host field is another's than a listed host's.
	// What stands in front of many hosts, as a CDN does, would pass the request
	// on to that one, with its token. A reverse proxy that leaves the field as
	// its client has set it lets the client choose.
	ErrHostHeader Unsent = "the Host of the request is not in Config.Hosts; leave Request.Host empty, as httputil.ProxyRequest.SetURL does"
	// ErrAuthorizationPresent: the request has an Authorization field already.
	ErrAuthorizationPresent Unsent = "the request has an Authorization of its own; remove it, or use a client without this transport"
	// ErrNoAccount: nothing says for whom the request is.
	ErrNoAccount Unsent = "neither the context nor Config.Account names an account; use tokensource.ContextWithAccount"
	// ErrAccountConflict: the context and Config.Account name two accounts.
	ErrAccountConflict Unsent = "the account of the context is not that of Config.Account"
)

// Error returns the reason.
func (u Unsent) Error() string { return "pismoauth: request not sent: " + string(u) }

// Unwrap returns [tokensource.ErrMisconfigured].
func (u Unsent) Unwrap() error { return tokensource.ErrMisconfigured }

// ErrorType returns "misconfigured", for OpenTelemetry's error.type.
func (u Unsent) ErrorType() string { return string(tokensource.ErrMisconfigured) }

// hosts are the hosts that may get a token, as they can stand in a URL.
type hosts struct{ https, http map[string]bool }

// newHosts returns the hosts that the configuration lists, or its faults.
func newHosts(list []string) (hosts, []error) {
	h := hosts{https: map[string]bool{}, http: map[string]bool{}}
	var faults []error
	for _, entry := range list {
		if reason := h.add(entry); reason != "" {
			faults = append(faults, &tokensource.ConfigError{Field: "Config.Hosts", Reason: strconv.Quote(entry) + " " + reason})
		}
	}
	return h, faults
}

// add adds a host, with or without a port; without one it is the default port
// of the scheme. It returns what is wrong with the entry.
func (h hosts) add(entry string) (fault string) {
	if !ascii(entry) {
		return "is not ASCII; write it as it is looked up, with xn--"
	}
	entry = strings.ToLower(entry)
	u, err := url.Parse("//" + entry)
	switch {
	case strings.Contains(entry, "://"):
		return "is a URL; give only its host"
	case err != nil, u.Host != entry, u.Hostname() == "", strings.HasSuffix(entry, ":"):
		return "is not a host, or a host and port"
	case strings.Contains(u.Hostname(), ":") && entry[0] != '[':
		return "is an IPv6 address without brackets"
	case strings.Contains(entry, "*"):
		return "is a pattern; list each host that may receive a token"
	}
	addWithDefault(h.https, u, "443")
	if loopback.Is(u.Hostname()) {
		addWithDefault(h.http, u, "80")
	}
	return ""
}

// addWithDefault adds the forms in which the host of u can stand in a URL of a
// scheme with that default port.
func addWithDefault(set map[string]bool, u *url.URL, defaultPort string) {
	set[u.Host] = true
	bare := strings.TrimSuffix(u.Host, ":"+defaultPort)
	if u.Port() == "" || u.Port() == defaultPort {
		set[bare] = true
		set[net.JoinHostPort(u.Hostname(), defaultPort)] = true
	}
}

// contains reports whether host is in the set, whatever its case. Only ASCII has
// one here: to Unicode, the lower case of some other letters is i or k, but the
// resolver is asked for another host.
func contains(set map[string]bool, host string) bool {
	return set[host] || ascii(host) && set[strings.ToLower(host)]
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Accepts returns nil if requests to u get a token, and the error they fail
// with if not.
func (t *Transport) Accepts(u *url.URL) error {
	switch {
	case u == nil:
		return ErrHostNotListed
	case u.Scheme == "https" && contains(t.hosts.https, u.Host):
		return nil
	case u.Scheme == "http" && contains(t.hosts.http, u.Host):
		return nil
	case contains(t.hosts.https, u.Host):
		return ErrPlaintext
	default:
		return ErrHostNotListed
	}
}

// destination reports whether the request gets a token. A request that does
// not is an error, unless a server redirected a client there: that one is sent
// as any client would send it, without a token.
func (t *Transport) destination(req *http.Request) (authorize bool, err error) {
	err = t.Accepts(req.URL)
	switch {
	case err != nil && req.URL != nil && req.Response != nil:
		return false, nil
	case err == nil && !t.addressed(req):
		err = ErrHostHeader
	}
	return err == nil, err
}

// addressed reports whether the Host field of a request that goes to a listed
// host is that of a listed host. Over plain http, and so on loopback, it may be
// any: what stands there is this machine's.
func (t *Transport) addressed(req *http.Request) bool {
	return req.Host == "" || req.Host == req.URL.Host || req.URL.Scheme == "http" || contains(t.hosts.https, req.Host)
}
