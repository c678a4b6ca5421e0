// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Package freeport finds loopback ports for the servers of tests.
package freeport

import (
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Address returns a loopback address for a Caddy, or an address where nothing
// listens. The address is reserved until the test ends: Address binds a socket
// to it that does not listen. A listener that shares ports, as in Caddy, can
// still bind to the address.
func Address(tb testing.TB) string {
	tb.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatal("socket:", err)
	}
	tb.Cleanup(func() { _ = unix.Close(socket) })
	unix.CloseOnExec(socket)
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		tb.Fatal("setsockopt:", err)
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal("bind:", err)
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		tb.Fatal("getsockname:", err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
}
