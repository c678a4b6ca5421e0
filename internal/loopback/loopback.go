// SPDX-License-Identifier: Apache-2.0

// Package loopback recognizes the host names of this machine. A secret may be
// sent to them without TLS.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether host is "localhost", in any case, or a loopback address in
// 127.0.0.0/8 or ::1. The host must have no port, and an IPv6 address no
// brackets, as [net/url.URL.Hostname] returns them.
//
// Is resolves no name, because the answer of a resolver may change. Names below
// localhost and short forms of addresses, such as 127.1, are not loopback:
// resolvers treat them differently.
func Is(host string) bool {
	// strings.EqualFold would accept the long s (U+017F) for an s.
	if strings.ToLower(host) == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
