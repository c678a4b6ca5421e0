// Package loopback tells which hosts are this machine.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether host, without a port, is this machine: localhost, an
// address in 127.0.0.0/8, or ::1. It resolves no names.
func Is(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
