// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// dialStore returns a Store that the test closes.
func dialStore(t *testing.T, network, address string) *socketStore {
	t.Helper()
	s := newSocketStore(network, address)
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func newTestServer(t *testing.T, redis string) *storeServer {
	t.Helper()
	s, err := newStoreServer(redis)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func TestSocketStore_KeepsTheContract(t *testing.T) {
	server := newTestServer(t, "")
	fleettest.Run(t, func(t *testing.T) fleet.Store { return dialStore(t, server.network, server.address) })
}

func TestSocketStore_ReportsFailures(t *testing.T) {
	memory := new(fleettest.Memory)
	memory.SetFault(fleettest.Fail(errors.New("out of memory")))
	server := httptest.NewServer(newStoreHandler(memory))
	defer server.Close()
	store := dialStore(t, "tcp", server.Listener.Addr().String())
	if _, err := store.Claim(t.Context(), "a", fleet.Ask{Owner: "b"}); err == nil {
		t.Error("Claim reports no error")
	}
	if _, err := store.Publish(t.Context(), "a", fleet.Publication{Owner: "b"}); err == nil {
		t.Error("Publish reports no error")
	}
	if _, err := store.Take(t.Context(), "a", 1, time.Second); err == nil {
		t.Error("Take reports no error")
	}
}

func TestStoreServer_StartsAgainEmpty(t *testing.T) {
	server := newTestServer(t, "")
	store := dialStore(t, server.network, server.address)
	publish := func() error {
		_, err := store.Publish(t.Context(), "a", fleet.Publication{Owner: "b", Value: []byte("c"), TTL: time.Minute})
		return err
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	server.stop()
	if err := publish(); err == nil {
		t.Error("a stopped store answers")
	}
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	if claim, err := store.Claim(t.Context(), "a", fleet.Ask{Owner: "b"}); err != nil || claim.Value != nil {
		t.Errorf("the store has the value %q and error %v, want neither", claim.Value, err)
	}
}

func TestStoreServer_NamesTheFlag(t *testing.T) {
	if _, err := newStoreServer(freeAddress(t)); err == nil || !strings.Contains(err.Error(), "-redis") {
		t.Errorf("got error %v, want the flag", err)
	}
}

// echo returns the address of a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestForwarder_ForwardsUntilStopped(t *testing.T) {
	server := newTestServer(t, echo(t))
	dial := func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := new(net.Dialer).DialContext(ctx, server.network, server.address)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		}
		return c, err
	}
	for range 2 { // The second time, after the store is back.
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		answer := make([]byte, 4)
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "ping" {
			t.Fatalf("the answer is %q, error %v", answer, err)
		}
		server.stop()
		if _, err := c.Read(answer); err == nil {
			t.Error("the connection is open after the stop")
		}
		if c, err := dial(); err == nil {
			c.Close()
			t.Error("a stopped store accepts a connection")
		}
		if err := server.start(); err != nil {
			t.Fatal(err)
		}
	}
}
