// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// value returns the sum of the series of a metric whose labels contain all
// given texts.
func value(tb testing.TB, text, name string, labels ...string) (sum int) {
	tb.Helper()
series:
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+"{") {
			continue
		}
		set, rest, _ := strings.Cut(line, "} ")
		for _, label := range labels {
			if !strings.Contains(set, label) {
				continue series
			}
		}
		var n int
		if _, err := fmt.Sscan(rest, &n); err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		sum += n
	}
	return sum
}

// Both pismo_auth and the transport ask for the token of a request. Such a
// request must count once, whether it succeeds or fails.
func TestMetrics_CountARequestOnce(t *testing.T) {
	t.Parallel()
	dead := freeport.Address(t)
	for name, directive := range map[string]func(upstream string) string{
		"pismo_proxy": func(upstream string) string { return pismoProxy(upstream) },
		"transport":   func(upstream string) string { return transportOnly(upstream) },
		"several attempts": func(upstream string) string {
			return pismoProxy(dead+" "+upstream, "lb_policy round_robin", "lb_retries 3")
		},
		"attempts, transport": func(upstream string) string {
			return transportOnly(dead+" "+upstream, "lb_policy round_robin", "lb_retries 3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{})
			address := freeport.Address(t)
			c := start(t, serverConfig{global: p.client(), sites: site(address, directive(p.Host())), env: p.env()})
			to := newClient(t, address, 1)
			for range 10 {
				check(t, "status", to.get(t, "/v1/accounts/"+alice, "X-User", "alice").status, http.StatusOK)
			}
			p.FailAlways(passporttest.Status(http.StatusInternalServerError))
			for range 5 {
				if got := to.get(t, "/v1/accounts/"+bob, "X-User", "bob"); got.status < http.StatusInternalServerError {
					t.Errorf("got status %d", got.status)
				}
			}
			text := c.get("/metrics")
			const name = "pismo_token_acquisitions_total"
			failed := value(t, text, name, "error_type=")
			check(t, "requests without a token", failed, 5)
			check(t, "requests with a token", value(t, text, name)-failed, 10)
		})
	}
}

// The first count of a series must be an increase.
func TestMetrics_BeginAtZero(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	c := start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()})
	text := lines(c.get("/metrics"), "pismo_token_")
	for _, want := range []string{
		`pismo_token_acquisitions_total{client="main",error_type="credentials_rejected",pismo_token_acquire_origin="suppressed"} 0`,
		`pismo_token_acquisitions_total{client="main",pismo_token_acquire_origin="cached"} 0`,
		`pismo_token_issuances_total{client="main",error_type="unavailable",pismo_token_issue_reason="ahead"} 0`,
		`pismo_token_rejections_total{client="main",pismo_token_rejection_outcome="not_renewed",pismo_token_rejection_verdict="token_refused"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is missing in:\n%s", want, text)
		}
	}
	if series := strings.Count(text, "\n") - strings.Count(text, "# "); series > 200 {
		t.Errorf("got %d series before the first request", series)
	}
}

// The README of the dashboard recommends the handler for this reason.
func TestMetrics_HandlerSurvivesAFailedReload(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address, metrics := freeport.Address(t), freeport.Address(t)
	s := serverConfig{
		global: p.client(),
		sites:  site(address, pismoProxy(p.Host())) + block("http://"+metrics, "bind 127.0.0.1", "metrics") + "\n",
		env:    p.env(),
	}
	c := start(t, s)
	to, handler := newClient(t, address, 1), newClient(t, metrics, 1)
	visit := func() { check(t, "status", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK) }
	counted := func(text string) int { return value(t, text, "pismo_token_acquisitions_total") }
	visit()
	check(t, "counted", counted(handler.get(t, "/metrics").body), 1)

	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	failing := s
	failing.global = p.client("bare")
	failing.sites += block("http://"+taken.Addr().String(), "bind 127.0.0.1", "respond x") + "\n"
	if err := c.load(failing); err == nil {
		t.Fatal("the configuration is loaded, although its address is taken")
	}
	visit()
	check(t, "counted after a reload that failed", counted(handler.get(t, "/metrics").body), 2)
	if counted(c.get("/metrics")) == 2 {
		t.Error("the admin API shows the metrics of the running configuration, so the reason in the README no longer holds")
	}
}
