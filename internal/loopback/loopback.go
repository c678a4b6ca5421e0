// Package loopback tells host names that lead back to this machine, where a
// secret may travel without TLS, from all others.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether host is "localhost", in any case, or a loopback address:
// one of 127.0.0.0/8 or ::1. The host has no port, and an IPv6 address no
// brackets, as [net/url.URL.Hostname] returns it.
//
// No name is looked up: what a resolver says today it may not say tomorrow.
// Names below localhost and the short forms of addresses (127.1), which
// resolvers treat each in its own way, are not loopback.
func Is(host string) bool {
	// Not EqualFold, to which the long s of U+017F is an s.
	if strings.ToLower(host) == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
