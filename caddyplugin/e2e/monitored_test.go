// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A monitoredServer is a server with two clients. A Prometheus scrapes it.
type monitoredServer struct {
	*testing.T
	*prometheus
	main, small     fakePlatform
	toMain, toSmall *client
	metrics         *client

	requests, failed map[string]int // requests, by the name of the client
}

func newMonitoredServer(t *testing.T, path string) *monitoredServer {
	w := &monitoredServer{T: t, requests: map[string]int{}, failed: map[string]int{}}
	w.main, w.small = newPlatform(t, passporttest.Config{}), newPlatform(t, passporttest.Config{})
	main, small, metrics := freeport.Address(t), freeport.Address(t), freeport.Address(t)
	start(t, serverConfig{
		global: block("pismo",
			block("client main", "base_url "+w.main.URL(), "server_key {env.MAIN_KEY}", "server_secret {env.MAIN_SECRET}", "store caddy"),
			block("client small", "base_url "+w.small.URL(), "server_key {env.SMALL_KEY}", "server_secret {env.SMALL_SECRET}")),
		sites: block("http://"+main, "bind 127.0.0.1", block("map {http.request.header.X-Account} {account}", `~^(\d+)$ "${1}"`),
			block("pismo_proxy "+w.main.Host(), "client main", "account {account}")) + "\n" +
			block("http://"+small, "bind 127.0.0.1", block("pismo_proxy "+w.small.Host(), "client small", "account organization")) + "\n" +
			block("http://"+metrics, "bind 127.0.0.1", "metrics") + "\n",
		env: []string{
			"MAIN_KEY=" + w.main.ServerKey(), "MAIN_SECRET=" + w.main.ServerSecret(),
			"SMALL_KEY=" + w.small.ServerKey(), "SMALL_SECRET=" + w.small.ServerSecret(),
		},
	})
	w.toMain, w.toSmall, w.metrics = newClient(t, main, 1), newClient(t, small, 1), newClient(t, metrics, 1)
	w.prometheus = startPrometheus(t, path, metrics, acceleratedRules(t))
	return w
}

// visit sends a request for an account, through the client main.
func (w *monitoredServer) visit(account string, body io.Reader) int {
	w.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	got, err := w.toMain.send(method, "/v1/accounts/"+account, body, "X-Account", account)
	if err != nil {
		w.Fatal(err)
	}
	w.countResult("main", got)
	return got.status
}

// visitSmall sends a request through the client small.
func (w *monitoredServer) visitSmall() { w.countResult("small", w.toSmall.get(w, "/v1/organization")) }

// countResult counts a request, and whether it failed for lack of a token. Then
// its answer is a problem of the token endpoint.
func (w *monitoredServer) countResult(name string, got reply) {
	for _, problem := range []string{"#unavailable", "#credentials-rejected", "#account-rejected"} {
		if strings.Contains(got.body, problem) {
			w.failed[name]++
			return
		}
	}
	w.requests[name]++
}

// These are the numbers of requests that load has refused, and of those that
// are replayed with success.
const refusedInLoad, replayedInLoad = 9, 5

// load makes requests of all kinds through the client main, over a few scrapes.
func (w *monitoredServer) load() {
	w.Helper()
	everybody := func() {
		for account := range 5 {
			check(w, "status", w.visit(fmt.Sprint(1001+account), nil), http.StatusOK)
		}
	}
	everybody()
	w.main.RevokeAll()
	everybody() // Five are replayed with success.
	w.main.Refuse(passporttest.Refusal{}.Times(2))
	w.visit("1001", nil) // It is sent again, and refused again.
	for range 3 {
		w.main.Refuse(passporttest.Refusal{})
		w.visit("1002", io.LimitReader(strings.NewReader("{}"), 2)) // It cannot be sent again.
	}
	for range 2 {
		w.main.Refuse(passporttest.MustRefusal("EUPI0120"))
		w.visit("1003", nil) // It is a business answer.
	}
	scrapes := w.scrapes()
	await(w, "there are more scrapes", func() bool {
		everybody()
		return w.scrapes() >= scrapes+4
	})
}

// scrapes returns how often the server has been scraped.
func (w *monitoredServer) scrapes() float64 { return w.number(w, "count_over_time(up["+window+"])") }

// outage makes both token endpoints fail until the expected alerts fire.
func (w *monitoredServer) outage() {
	w.Helper()
	w.main.FailAlways(passporttest.Status(http.StatusInternalServerError))
	w.small.FailAlways(passporttest.Status(http.StatusUnauthorized))
	must := []string{"PismoTokensUnavailable main", "PismoTokensUnavailable small", "PismoSourceInCooldown main", "PismoCredentialsRejected small"}
	account := 2000
	var firing map[string]bool
	await(w, "the alerts of an outage fire", func() bool {
		account++
		w.visit(fmt.Sprint(account%5+2000), nil)
		w.visit("1001", nil) // The account has a token.
		w.visitSmall()
		firing = w.firing(w)
		return !slices.ContainsFunc(must, func(alert string) bool { return !firing[alert] })
	})
	for _, alert := range []string{"PismoCredentialsRejected main", "PismoInstanceWithoutTokens main", "PismoInstanceWithoutTokens small"} {
		if firing[alert] {
			w.Errorf("%s fires in an outage", alert)
		}
	}
	w.main.Heal()
	w.small.Heal()
}

// awaitScrape waits until Prometheus has scraped the latest counts of the
// server. Later queries use that scrape.
func (w *monitoredServer) awaitScrape() {
	w.Helper()
	var raw map[string]float64
	await(w, "Prometheus has scraped the last values", func() bool {
		// The counts are read again each time, because cooldowns end meanwhile.
		raw = totals(w.metrics.get(w, "/metrics").body)
		w.at = time.Time{}
		last := w.number(w, "max(timestamp(pismo_token_cached))")
		if math.IsNaN(last) {
			return false // The last scrape failed.
		}
		w.at = time.UnixMilli(int64(math.Round(last * 1000)))
		for name, total := range raw {
			if sum := w.number(w, "sum("+name+")"); !(math.Abs(sum-total) <= 1e-6*total) { // NaN, too.
				return false
			}
		}
		return true
	})
	if len(raw) < 8 {
		w.Errorf("the server has only the metrics %v", slices.Collect(maps.Keys(raw)))
	}
}

// totals returns the sum of the series of each metric of the plugin.
func totals(text string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, "{"); ok && strings.HasPrefix(name, "pismo_") {
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndex(line, "}")+1:], &value); err == nil {
				all[name] += value
			}
		}
	}
	return all
}
