package middleware

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// dropAuthorization takes the client's Authorization off a request, whose
// header must be a copy. It belongs to this program, whether it comes in the
// header or in a trailer. Connection must not name the field either: a proxy
// behind us would take ours off (RFC 9110, section 7.6.1).
func dropAuthorization(r *http.Request) {
	for name := range r.Header {
		switch { // Not every map is canonical.
		case isAuthorization(name):
			delete(r.Header, name)
		case strings.EqualFold(name, "Connection"):
			dropOptions(r.Header, name, namesAuthorization)
		}
	}
	for name := range r.Trailer {
		if isAuthorization(name) {
			trailer := maps.Clone(r.Trailer) // The reader of the body writes into that of the client's request.
			maps.DeleteFunc(trailer, func(name string, _ []string) bool { return isAuthorization(name) })
			r.Trailer = trailer
			return
		}
	}
}

func isAuthorization(field string) bool { return strings.EqualFold(field, "Authorization") }

// namesAuthorization reports whether an option of Connection names
// Authorization, also for a proxy that trims more than spaces and tabs.
func namesAuthorization(option string) bool {
	return strings.Contains(strings.ToLower(option), "authorization")
}

// dropOptions takes options off a field that is a list of them, separated by
// commas, and the field if none is left. The values of the field are not
// changed, but replaced.
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

// forwardingFields are the fields in which proxies say where a request comes from and
// where it was to go, and begin the names of others of their kind. What a
// client claims in them is not passed on. Nor are the fields that override the path
// or the method of a request for some servers: a router's pattern bounds both, and
// a GET is sent again where a payment is not.
var forwardingFields = []string{
	"Forwarded",
	"X-Forwarded",
	"X-Original-Url",
	"X-Rewrite-Url",
	"X-Http-Method", // also X-HTTP-Method-Override
	"X-Method-Override",
}

// framingFields are the fields of one connection, and those that end a message
// (RFC 9110, section 7.6.1; RFC 9112, section 6). httputil.ReverseProxy takes
// care of them in this spelling only.
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

// dropForwardingFields takes off a request what its client claims of its way, and the
// fields that another program may take for one of the connection, because they
// differ in underscores for hyphens. None of either belongs into a trailer.
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

// sameFieldName reports whether two names of fields are the same for programs that do
// not tell hyphens from underscores, as CGI does not (RFC 3875, section
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

// opensTunnel reports whether an option of Upgrade is another version of HTTP
// or TLS, or not printable: whoever speaks HTTP through a connection that was
// handed over chooses every target after the first. A server may ignore an
// Upgrade (RFC 9110, section 7.8), and the request goes on without it.
func opensTunnel(protocol string) bool {
	name, _, _ := strings.Cut(strings.ToLower(protocol), "/")
	return strings.HasPrefix(name, "h2") || name == "http" || name == "tls" ||
		strings.ContainsFunc(protocol, func(c rune) bool { return c < ' ' || c > '~' })
}
