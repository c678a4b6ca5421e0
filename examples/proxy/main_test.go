// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

var discardLogger = slog.New(slog.DiscardHandler)

func TestCheckAccounts_NamesTheFlag(t *testing.T) {
	for _, test := range []struct{ alice, bob, want string }{
		{"1", "2", ""},
		{"", "2", "-alice"},
		{"0102681871", "2", "-alice"},
		{"102681871 ", "2", "-alice"},
		{"1", "bob", "-bob"},
		{"1", "-2", "-bob"},
		{"1", "9223372036854775808", "-bob"},
		{"1", "1", "-alice and -bob"},
	} {
		err := checkAccounts(map[string]string{alice: test.alice, bob: test.bob})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got error %v, want %q", test, err, test.want)
		}
	}
}

// The error for a second instance must say what to do.
func TestServe_NamesTheFlagOfTheAddress(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for addr, want := range map[string]string{
		taken.Addr().String(): "another program listens there",
		"192.0.2.1:8480":      "not a loopback address",
		":8480":               "not a loopback address",
		"127.0.0.1":           "missing port",
		"127.0.0.1:http-no":   "unknown port",
	} {
		err := serve(t.Context(), discardLogger, addr, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "-addr "+addr) {
			t.Errorf("%s: got error %v, want %q and the flag", addr, err, want)
		}
	}
}

// The program reports an unreadable secret at its start, not at the first
// request.
func TestServe_ReadsTheCredentialsWhenItStarts(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	t.Setenv("PISMO_BASE_URL", "https://sandbox.pismolabs.io")
	t.Setenv("PISMO_SERVER_KEY", "key")
	t.Setenv("PISMO_SERVER_SECRET", "")
	t.Setenv("PISMO_SERVER_SECRET_FILE", missing)
	err := serve(t.Context(), discardLogger, "127.0.0.1:0", map[string]string{alice: "1", bob: "2"})
	if err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestServe_EndsWithItsContext(t *testing.T) {
	for _, name := range []string{"PISMO_BASE_URL", "PISMO_SERVER_KEY", "PISMO_SERVER_SECRET", "PISMO_SERVER_SECRET_FILE"} {
		t.Setenv(name, "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, discardLogger, "127.0.0.1:0", map[string]string{alice: "1", bob: "2"}); err != nil {
		t.Error(err)
	}
}

// A browser calls the login without POST. The answer must not be an error about
// a missing token.
func TestLogin_RequiresPOST(t *testing.T) {
	fake := passporttest.NewServer(t, passporttest.Config{})
	accounts := map[string]string{alice: "102681871", bob: "102681872"}
	proxy, err := newProxy(discardLogger, platform.FromFakeServer(fake), newLogin(accounts), newEvents(discardLogger, new(eventCounters)), nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(proxy)
	defer server.Close()
	for _, test := range []struct {
		method, path string
		status       int
		text         string
	}{
		{http.MethodGet, "/login/alice", http.StatusMethodNotAllowed, "curl -X POST " + server.URL + "/login/alice"},
		{http.MethodPut, "/login/alice", http.StatusMethodNotAllowed, "use POST"},
		{http.MethodHead, "/login/alice", http.StatusMethodNotAllowed, ""},
		{http.MethodGet, "/fake/revoke", http.StatusMethodNotAllowed, "use POST"},
		{http.MethodPost, "/login/carol", http.StatusNotFound, "alice or bob"},
		{http.MethodPost, "/login/alice", http.StatusOK, "."},
		{http.MethodPost, "/fake/revoke", http.StatusOK, "revoked"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != test.status || !strings.Contains(string(body), test.text) {
			t.Errorf("%s %s: got status %d, %s, error %v, want status %d and %q", test.method, test.path, resp.StatusCode, body, err, test.status, test.text)
		}
		if allow := resp.Header.Get("Allow"); (allow == http.MethodPost) != (test.status == http.StatusMethodNotAllowed) {
			t.Errorf("%s %s: Allow is %q with status %d, want POST with 405 only", test.method, test.path, allow, test.status)
		}
	}
}
