// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestRun_NamesAddrFlag(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	err = run(t.Context(), passporttest.Config{Addr: addr})
	if err == nil || !strings.Contains(err.Error(), "-addr "+addr) || !strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("got error %v, want the flag, its address and that another program listens there", err)
	}
}

func TestRun_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, passporttest.Config{Addr: "127.0.0.1:0"}); err != nil {
		t.Error(err)
	}
}
