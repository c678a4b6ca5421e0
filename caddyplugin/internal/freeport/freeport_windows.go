// SPDX-License-Identifier: Apache-2.0

package freeport

import (
	"net"
	"testing"
)

// Address returns a loopback address that is free when it returns. On Windows,
// the address cannot be reserved.
func Address(tb testing.TB) string {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal("listen:", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		tb.Fatal("close:", err)
	}
	return address
}
