// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// strictPassiveHealth are health checks that mark an upstream as down at its
// first failure.
var strictPassiveHealth = []string{
	"fail_duration 30s",
	"max_fails 1",
	"unhealthy_status 5xx",
	"health_uri /v1/organization",
	"health_interval 50ms",
	"health_fails 1",
	"health_status 2xx",
}

// wantUpstreamsHealthy fails the test if Caddy has counted a failure of an
// upstream.
func (c *server) wantUpstreamsHealthy(tb testing.TB) {
	tb.Helper()
	var upstreams []struct {
		Address string
		Fails   int
	}
	if err := json.Unmarshal([]byte(c.get("/reverse_proxy/upstreams")), &upstreams); err != nil {
		tb.Fatal(err)
	}
	if len(upstreams) == 0 {
		tb.Error("there are no upstreams")
	}
	for _, upstream := range upstreams {
		check(tb, "faults of "+upstream.Address, upstream.Fails, 0)
	}
	for line := range strings.Lines(lines(c.logged(), "health_checker.active")) {
		if !strings.Contains(line, "host is up") {
			tb.Error("the active health check found something:", line)
		}
	}
}

func TestBadAccount_LeavesUpstreamHealthy(t *testing.T) {
	t.Parallel()
	for name, directive := range map[string]func(upstream string) string{
		"pismo_proxy":     func(upstream string) string { return pismoProxy(upstream, strictPassiveHealth...) },
		"transport pismo": func(upstream string) string { return transportOnly(upstream, strictPassiveHealth...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{Accounts: []string{alice}})
			address := freeport.Address(t)
			c := start(t, serverConfig{global: p.client(), sites: site(address, directive(p.Host())), env: p.env()})
			to := newClient(t, address, connections)

			check(t, "status for a good account", to.get(t, "/v1/accounts/"+alice, "X-User", "alice").status, http.StatusOK)
			concurrently(100, func(int) {
				got, err := to.send(http.MethodGet, "/v1/accounts/"+bob, nil, "X-User", "bob")
				if err != nil || got.status != http.StatusBadGateway {
					t.Errorf("for a bad account: status %d, error %v", got.status, err)
				}
			})
			check(t, "status for a good account afterwards", to.get(t, "/v1/accounts/"+alice, "X-User", "alice").status, http.StatusOK)
			c.wantUpstreamsHealthy(t)
			check(t, "requests of the bad account at the platform", p.Counts().Accounts[bob].ResourceRequests, 0)
		})
	}
}

func TestHangingEndpoint_LeavesUpstreamHealthy(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	c := start(t, serverConfig{global: p.client("issue_timeout 2s"), sites: site(address, pismoProxy(p.Host(), strictPassiveHealth...)), env: p.env()})
	to := newClient(t, address, connections)

	check(t, "status before", to.get(t, "/v1/accounts/"+alice, "X-User", "alice").status, http.StatusOK)
	p.FailAlways(passporttest.Hang())
	concurrently(100, func(int) {
		got, err := to.send(http.MethodGet, "/v1/accounts/"+bob, nil, "X-User", "bob")
		if err != nil || got.status != http.StatusGatewayTimeout && got.status != http.StatusServiceUnavailable {
			t.Errorf("while the token endpoint hangs: status %d, error %v", got.status, err)
		}
	})
	check(t, "status for an account that has a token", to.get(t, "/v1/accounts/"+alice, "X-User", "alice").status, http.StatusOK)
	c.wantUpstreamsHealthy(t)
}

// A health check without a token does not count as a failure of the upstream.
func TestHealthCheck_PassesWithoutToken(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	p.FailAlways(passporttest.Status(http.StatusInternalServerError))
	address := freeport.Address(t)
	options := append(slices.Clone(strictPassiveHealth), "health_account organization")
	c := start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host(), options...)), env: p.env()})
	await(t, "the health check asks for a token", func() bool { return p.Counts().Accounts[""].TokenRequests > 0 })
	await(t, "the health check warns", func() bool { return strings.Contains(c.logged(), "health checks have no token") })
	c.wantUpstreamsHealthy(t)

	p.Heal()
	await(t, "the health check reaches the platform with a token", func() bool { return p.Counts().Accounts[""].Accepted > 1 })
	c.wantUpstreamsHealthy(t)
	check(t, "requests without a token", p.Counts().TotalRefused(), 0)
	await(t, "the end of it is logged", func() bool { return strings.Contains(c.logged(), "token issuance recovered") })
}

// Health checks request no token unless health_account is set.
func TestHealthCheck_AsksForNoToken(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	c := start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host(), strictPassiveHealth...)), env: p.env()})
	await(t, "the upstream's health is checked", func() bool { return p.Counts().Refused[passporttest.ReasonMissing] > 10 })
	c.wantUpstreamsHealthy(t)
	check(t, "token requests", p.Counts().TokenRequests, 0)
	check(t, "status", newClient(t, address, 1).get(t, "/v1/accounts/"+alice).status, http.StatusOK)
}
