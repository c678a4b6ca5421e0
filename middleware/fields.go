// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// dropAuthorization removes the client's Authorization from header and trailer
// of a request. The request's header must be a copy. It also removes the
// option Authorization from Connection: otherwise a proxy behind this program
// would remove the program's own Authorization (RFC 9110, section 7.6.1).
func dropAuthorization(r *http.Request) {
	for name := range r.Header {
		switch { // The program can put a name into the map that is not canonical.
		case isAuthorization(name):
			delete(r.Header, name)
		case strings.EqualFold(name, "Connection"):
			dropOptions(r.Header, name, namesAuthorization)
		}
	}
	for name := range r.Trailer {
		if isAuthorization(name) {
			// The reader of the body writes into the original map.
			trailer := maps.Clone(r.Trailer)
			maps.DeleteFunc(trailer, func(name string, _ []string) bool { return isAuthorization(name) })
			r.Trailer = trailer
			return
		}
	}
}

func isAuthorization(field string) bool { return strings.EqualFold(field, "Authorization") }

// namesAuthorization reports whether an option of Connection is Authorization.
// An option that only contains the word counts too, since a proxy may trim more
// than spaces and tabs.
func namesAuthorization(option string) bool {
	return strings.Contains(strings.ToLower(option), "authorization")
}

// dropOptions removes options from a field that is a comma-separated list. It
// removes the field if no option is left. It replaces the slice of values and
// does not change the old slice.
func dropOptions(header http.Header, name string, drop func(option string) bool) {
	var kept []string
	dropped := false
	for _, value := range header[name] {
		for option := range strings.SplitSeq(value, ",") {
			option = textproto.TrimString(option)
			switch {
			case drop(option):
				dropped = true
			case option != "":
				kept = append(kept, option)
			}
		}
	}
	switch {
	case dropped && len(kept) == 0:
		delete(header, name)
	case dropped:
		header[name] = []string{strings.Join(kept, ", ")}
	}
}

// forwardingFields are the fields in which proxies state a request's origin and
// original target. Each is also the beginning of other such names, as
// X-Forwarded-For. The proxy does not pass on a client's values. The same holds
// for the fields that override the path or the method of a request for some
// servers: a router's pattern bounds both, and a GET is sent again where a
// payment is not.
var forwardingFields = []string{
	"Forwarded",
	"X-Forwarded",
	"X-Original-Url",
	"X-Rewrite-Url",
	"X-Http-Method", // also X-HTTP-Method-Override
	"X-Method-Override",
}

// framingFields are the fields of one connection, and the fields that determine
// where a message ends (RFC 9110, section 7.6.1; RFC 9112, section 6).
// httputil.ReverseProxy removes them in this spelling only.
var framingFields = []string{
	"Connection",
	"Content-Length",
	"Keep-Alive",
	"Proxy-Authenticate",
	"Proxy-Authorization",
	"Proxy-Connection",
	"Te",
	"Trailer",
	"Transfer-Encoding",
	"Upgrade",
}

// dropForwardingFields removes the forwarding fields of a request. It also
// removes the fields whose names differ from a framing field only in
// underscores for hyphens: another program may take them for the framing field.
// It removes both kinds from the trailer too.
func dropForwardingFields(r *http.Request) {
	maps.DeleteFunc(r.Header, func(name string, _ []string) bool {
		return isForwarding(name) || isFraming(name) && !slices.Contains(framingFields, name)
	})
	maps.DeleteFunc(r.Trailer, func(name string, _ []string) bool {
		return isForwarding(name) || isFraming(name)
	})
}

func isForwarding(name string) bool {
	return slices.ContainsFunc(forwardingFields, func(field string) bool {
		return len(name) >= len(field) && sameFieldName(name[:len(field)], field) &&
			(len(name) == len(field) || sameFieldName(name[len(field):len(field)+1], "-"))
	})
}

func isFraming(name string) bool {
	return slices.ContainsFunc(framingFields, func(field string) bool { return sameFieldName(name, field) })
}

// sameFieldName reports whether two field names are equal for a program that
// does not distinguish hyphens from underscores, such as CGI (RFC 3875, section
// 4.1.18).
func sameFieldName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldFieldByte(a[i]) != foldFieldByte(b[i]) {
			return false
		}
	}
	return true
}

func foldFieldByte(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

// opensTunnel reports whether an option of Upgrade is a version of HTTP or TLS,
// or not printable. A client that speaks HTTP through an upgraded connection
// chooses the target of every further request, unchecked. A server may ignore
// an Upgrade (RFC 9110, section 7.8), so the proxy forwards the request without
// it.
func opensTunnel(protocol string) bool {
	name, _, _ := strings.Cut(strings.ToLower(protocol), "/")
	return strings.HasPrefix(name, "h2") || name == "http" || name == "tls" ||
		strings.ContainsFunc(protocol, func(c rune) bool { return c < ' ' || c > '~' })
}
