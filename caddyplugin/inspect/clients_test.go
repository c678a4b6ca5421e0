// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// adminAPI serves an answer as the admin API of a Caddy, and returns its
// address.
func adminAPI(t *testing.T, answer string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/pismo/clients" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, answer)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func TestInspect_ShowsClients(t *testing.T) {
	const answer = `[
{"name":"main","accounts":4,"tokens":1,"issuances":4,"failures":{"timeout":1,"rate_limited":2},"next_expiry":"2026-11-26T12:00:00Z",
 "cooling_down":3,"breaker_open_until":"2026-11-26T12:00:30Z","breaker_cause":"rate_limited",
 "store":{"reachable":false,"last_error":"fleet: the store failed: claim: READONLY","open_until":"2026-11-26T12:00:10Z","adopted":5,"poisoned":1,"succeeded":9,"failed":5,"skipped":7}},
{"name":"other","accounts":0,"tokens":0,"issuances":0,"failures":{},"cooling_down":0,"store":{"reachable":true}},
{"name":"th\u001bird","accounts":0,"tokens":0,"issuances":0,"failures":{},"cooling_down":0,"store":{"reachable":false}}]`
	const want = `client main
  tokens     1, for 4 accounts; the first expires at 2026-11-26T12:00:00Z
  issuances  4, failed: 2 rate_limited, 1 timeout
  cooldown   3 accounts; every account until 2026-11-26T12:00:30Z (rate_limited)
  store      away; tried again at 2026-11-26T12:00:10Z: fleet: the store failed: claim: READONLY
             5 tokens adopted, 1 values not used
             9 operations succeeded, 5 failed, 7 skipped
client other
  tokens     0, for 0 accounts
  issuances  0, none failed
  cooldown   0 accounts
  store      reachable
             0 tokens adopted, 0 values not used
             0 operations succeeded, 0 failed, 0 skipped
client th\u001bird
  tokens     0, for 0 accounts
  issuances  0, none failed
  cooldown   0 accounts
  store      not used yet
             0 tokens adopted, 0 values not used
             0 operations succeeded, 0 failed, 0 skipped
`
	address := adminAPI(t, answer)
	out, stderr, err := inspect(strings.NewReader(""), "--clients", "--address", address)
	if err != nil || out != want || stderr != "" {
		t.Errorf("got %q and %s (%v), want %s", stderr, out, err, want)
	}
	if out, _, err := inspect(strings.NewReader(""), "--clients", "--json", "--address", address); err != nil || out != answer {
		t.Errorf("got %s (%v), want the answer", out, err)
	}
	if out, _, err := inspect(strings.NewReader(""), "--clients", "--address", adminAPI(t, "[]")); err != nil || out != "no clients\n" {
		t.Errorf("got %s (%v), want no clients", out, err)
	}
}

func TestInspect_RefusesOtherAnswers(t *testing.T) {
	if _, _, err := inspect(strings.NewReader(""), "--clients", "--address", adminAPI(t, "<html>")); err == nil {
		t.Error("HTML is taken for a list of clients")
	}
	if _, _, err := inspect(strings.NewReader(""), "--clients", "--address", "127.0.0.1:1"); err == nil {
		t.Error("a Caddy that does not run has a state")
	}
}
