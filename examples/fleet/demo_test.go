// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// small is a small fleet.
var small = options{replicas: 2, accounts: 3}

// passes runs the demo. A machine that is too busy for the demo proves nothing.
func passes(t *testing.T, o options) {
	t.Helper()
	var out strings.Builder
	switch err := demo(t.Context(), o, &out); {
	case errors.Is(err, errSlowStore):
		t.Log("LEFT OUT: the demo of examples/fleet, since this machine is too busy.")
	case err != nil:
		t.Errorf("%v\n%s", err, out.String())
	case strings.Count(out.String(), "   ok\n") < 9:
		t.Errorf("the demo left out a step:\n%s", out.String())
	}
}

func TestDemo_Passes(t *testing.T) { passes(t, options{replicas: 3, accounts: 5}) }

func TestDemo_PassesOnRedis(t *testing.T) {
	if address := startRedis(t); address != "" {
		passes(t, options{replicas: 2, accounts: 3, redis: address})
	}
}

// startRedis returns the address of a redis-server without persistence, or ""
// if none is installed.
func startRedis(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Log("LEFT OUT: redis-server is not installed, so examples/fleet did not run on a real one.")
		return ""
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	server := exec.CommandContext(context.WithoutCancel(t.Context()),
		"redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			c.Close()
			return address
		}
	}
	t.Fatal("redis-server does not answer")
	return ""
}

// freeAddress returns a loopback address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDemo_FailsOnWrongFigure(t *testing.T) {
	err := perform(t.Context(), small, io.Discard, func(d *demonstration, _ options) error {
		return d.step("a step", issues(99, 2), func() error { return d.round(accountIDs(1, 0)) })()
	})
	if !errors.Is(err, errWrongFigure) && !errors.Is(err, errSlowStore) {
		t.Errorf("got error %v, want %v", err, errWrongFigure)
	}
}

func TestDemo_FailsOnFailingStore(t *testing.T) {
	var out strings.Builder
	err := perform(t.Context(), small, &out, func(d *demonstration, _ options) error {
		_ = d.store.running.Close()
		return d.step("a step", issues(2, 2), func() error { return d.round(accountIDs(1, 0)) })()
	})
	if !errors.Is(err, errWrongFigure) || !strings.Contains(out.String(), "WRONG: the store fails: ") {
		t.Errorf("got error %v, want %v and the store's error:\n%s", err, errWrongFigure, out.String())
	}
}

// A store that is too slow proves nothing, neither for nor against.
func TestDemo_RepeatsWithSlowStore(t *testing.T) {
	var out strings.Builder
	err := attempt(t.Context(), small, &out, func(d *demonstration, _ options) error {
		d.store.stop()
		d.store.newBackend = func() backend {
			return &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // Otherwise the server does not see that the caller leaves.
				<-r.Context().Done()
			})}
		}
		if err := d.store.start(); err != nil {
			return err
		}
		return d.step("a step", issues(1, 2), func() error { return d.round(accountIDs(1, 0)) })()
	})
	if !errors.Is(err, errSlowStore) {
		t.Errorf("got error %v, want %v", err, errSlowStore)
	}
	if n := strings.Count(out.String(), "VOID"); n != demoAttempts {
		t.Errorf("the demo was taken %d times, want %d:\n%s", n, demoAttempts, out.String())
	}
}

func TestExpected_FindsEachFault(t *testing.T) {
	want := expected{issued: both[amount]{exactly(1), atLeast(2)}, refused: exactly(0), failed: exactly(0)}
	for fault, f := range map[string]figures{
		"":                             {issued: both[int]{1, 5}},
		"tokens issued with the store": {issued: both[int]{2, 5}},
		"tokens issued without: 1, want 2 or more": {issued: both[int]{1, 1}},
		"tokens refused with the store":            {issued: both[int]{1, 2}, refused: both[int]{1, 0}},
		"tokens refused without":                   {issued: both[int]{1, 2}, refused: both[int]{0, 1}},
		"requests failed with the store":           {issued: both[int]{1, 2}, failed: both[int]{1, 0}},
		"requests failed without":                  {issued: both[int]{1, 2}, failed: both[int]{0, 1}},
	} {
		if got := want.fault(f); !strings.Contains(got, fault) || (got == "") != (fault == "") {
			t.Errorf("%+v: got %q, want %q", f, got, fault)
		}
	}
}
