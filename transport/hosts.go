// SPDX-License-Identifier: Apache-2.0

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

// hosts are the hosts that may receive a token, in every form that a URL can
// have.
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

// add adds a host. Without a port, the host has the default port of the scheme.
// add returns the fault of an invalid entry.
func (h hosts) add(entry string) (fault string) {
	if !isASCII(entry) {
		return "is not ASCII; write it in the form with xn--"
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

// addWithDefault adds every form of the host of u in a URL of a scheme with
// that default port.
func addWithDefault(set map[string]bool, u *url.URL, defaultPort string) {
	set[u.Host] = true
	bare := strings.TrimSuffix(u.Host, ":"+defaultPort)
	if u.Port() == "" || u.Port() == defaultPort {
		set[bare] = true
		set[net.JoinHostPort(u.Hostname(), defaultPort)] = true
	}
}

// containsHost reports whether host is in the set, in any case. Only ASCII
// letters have a case here. Unicode maps some other letters to i or k, but the
// resolver would look up another host.
func containsHost(set map[string]bool, host string) bool {
	return set[host] || isASCII(host) && set[strings.ToLower(host)]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Accepts returns nil if requests to u get a token. Otherwise it returns the
// error of such a request.
func (t *Transport) Accepts(u *url.URL) error {
	switch {
	case u == nil:
		return ErrHostNotListed
	case u.Scheme == "https" && containsHost(t.hosts.https, u.Host), u.Scheme == "http" && containsHost(t.hosts.http, u.Host):
		if !staysWithinHost(u) {
			return ErrRequestTarget
		}
		return nil
	case containsHost(t.hosts.https, u.Host):
		return ErrPlaintext
	default:
		return ErrHostNotListed
	}
}

// staysWithinHost reports whether a request to u asks for a path of u.Host. A
// request target from URL.Opaque names a host of its own, and net/http also
// sends that host in the Host field. A path without a slash continues the host:
// through a proxy, http://bank.example and the path @evil.example make one URL.
func staysWithinHost(u *url.URL) bool {
	path := u.Path
	if u.RawPath != "" {
		path = u.EscapedPath()
	}
	return u.Opaque == "" && (path == "" || path[0] == '/' || path == "*")
}

// needsToken reports whether the request gets a token. A request to a host that
// gets no token is an error, unless a server redirected a client there. Such a
// request is sent without a token.
func (t *Transport) needsToken(req *http.Request) (authorize bool, err error) {
	if err := t.Accepts(req.URL); err != nil {
		return false, redirectError(req, err)
	}
	if t.wasRedirectedBack(req) {
		return false, ErrRedirectedBack
	}
	if req.URL.Scheme == "https" && !t.isHostHeaderListed(req) {
		return false, ErrHostHeader
	}
	return true, nil
}

// redirectError returns the error of a request whose URL gets no token because
// of err. It returns nil for a redirect that may be followed without a token.
func redirectError(req *http.Request, err error) error {
	switch {
	case req.Response == nil || req.URL == nil || !staysWithinHost(req.URL):
		return err
	case hasBody(req):
		return ErrRedirectedBody
	}
	return nil
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// maxRedirects bounds the search for the origin of a redirect. http.Client
// follows ten redirects.
const maxRedirects = 100

// wasRedirectedBack reports whether one of the redirects that led to the
// request came from a host that gets no token, or from an unknown host.
func (t *Transport) wasRedirectedBack(req *http.Request) bool {
	for range maxRedirects {
		if req.Response == nil {
			return false
		}
		if req = req.Response.Request; req == nil || t.Accepts(req.URL) != nil {
			return true
		}
	}
	return true
}

// isHostHeaderListed reports whether the Host field of a request names a listed
// host. An empty field stands for the host of the URL.
func (t *Transport) isHostHeaderListed(req *http.Request) bool {
	return req.Host == "" || req.Host == req.URL.Host || containsHost(t.hosts.https, req.Host) || containsHost(t.hosts.http, req.Host)
}
