// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// sendTarget sends a request with an unchanged target. It returns the status of
// the answer.
func sendTarget(tb testing.TB, address, target string) int {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		tb.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, address)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// getAfterReload sends a GET for alice's account over a new connection. During
// a reload, Caddy may close the connection before it answers. Then
// getAfterReload sends another GET.
func getAfterReload(tb testing.TB, address string) reply {
	tb.Helper()
	for range connections {
		got, err := newClient(tb, address, 1).send(http.MethodGet, "/v1/accounts/"+alice, nil)
		if err == nil {
			return got
		}
		if !isClosedBeforeAnswer(err) {
			tb.Fatal(err)
		}
	}
	tb.Fatal("every connection was closed")
	return reply{}
}

// The admin API still serves after a failed load of a configuration.
func TestAdminAPI_FollowsTheRunningOne(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	good := serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()}
	c := start(t, good)
	taken := block("http://"+p.Host(), "bind 127.0.0.1", "respond x") + "\n"
	for name, bad := range map[string]serverConfig{
		"an unreadable secret": {global: block("pismo", block("client other", "base_url "+p.URL(), "server_key {file./nonexistent}", "server_secret {file./nonexistent}")), sites: site(address, pismoProxy(p.Host()))},
		"a changed client":     {global: p.client("bare"), sites: good.sites + taken},
		"changed limits":       {global: p.client("max_accounts 50"), sites: good.sites + taken},
		"no client":            {sites: taken},
	} {
		check(t, "status", getAfterReload(t, address).status, http.StatusOK)
		if err := c.load(bad); err == nil {
			t.Fatalf("%s: the configuration is loaded", name)
		}
		check(t, name+": name", c.status(t).Name, "main")
		issued := p.Counts().Issued
		c.invalidate(t, "")
		check(t, "status", getAfterReload(t, address).status, http.StatusOK)
		check(t, name+": tokens issued", p.Counts().Issued, issued+1)
	}
}

// A client stays the same, with its tokens, unless an option changes that
// determines a token.
func TestReload_EditedLimitsKeepTokens(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	config := func(options ...string) serverConfig {
		return serverConfig{global: p.client(options...), sites: site(address, pismoProxy(p.Host())), env: p.env()}
	}
	c := start(t, config())
	get := func() {
		t.Helper()
		check(t, "status", getAfterReload(t, address).status, http.StatusOK)
	}
	get()
	for _, option := range []string{
		"hosts 127.0.0.1 localhost", "issue_timeout 9s", "max_issuances 8", "max_accounts 50",
		"dial_timeout 1s", "network_proxy none", "tls_timeout 3s", "resolvers 127.0.0.1",
	} {
		if err := c.load(config(option)); err != nil {
			t.Fatalf("%s: %v", option, err)
		}
		get()
		check(t, "tokens issued with "+option, p.Counts().Issued, 1)
	}
	if err := c.load(config("header X-Gateway yes")); err != nil {
		t.Fatal(err)
	}
	get()
	check(t, "tokens issued for another token request", p.Counts().Issued, 2)
}

// The next configuration trusts a replaced authority, although no option has
// changed.
func TestReload_ReadsNewAuthority(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"trusted_ca_certs", "tls_trust_pool file"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{TLS: true})
			trust := p.trust(t)
			changing := filepath.Join(t.TempDir(), "authority.pem")
			writePEM(t, changing, "CERTIFICATE", newAuthority(t).certificate.Raw)
			address := freeport.Address(t)
			s := serverConfig{
				global: p.client(option + " " + changing),
				sites:  site(address, pismoProxy(p.URL(), block("transport pismo", "tls_trust_pool file "+trust))),
				env:    p.env(),
			}
			c := start(t, s)
			wantProblem(t, newClient(t, address, 1).get(t, "/v1/accounts/"+alice), http.StatusBadGateway, "unavailable")
			writePEM(t, changing, "CERTIFICATE", p.Certificate().Raw)
			if err := c.load(s); err != nil {
				t.Fatal(err)
			}
			// The reload also ends the cooldown.
			check(t, "status", getAfterReload(t, address).status, http.StatusOK)
		})
	}
}

// Issuance fails for one account and works for the next.
func TestLog_FlappingIsThreeLines(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	c := start(t, serverConfig{
		global: p.client(),
		sites:  block("http://"+address, "bind 127.0.0.1", block("pismo_proxy "+p.Host(), "account_header X-Account [0-9]+")) + "\n",
		env:    p.env(),
	})
	to := newClient(t, address, 1)
	works, fails := 0, 0
	for account := 5000; works < 20 && account < 7000; account++ {
		if account%2 == 0 {
			p.FailAlways(passporttest.Status(http.StatusInternalServerError))
		} else {
			p.Heal()
		}
		switch to.get(t, "/v1/accounts/x", "X-Account", strconv.Itoa(account)).status {
		case http.StatusBadGateway, http.StatusServiceUnavailable:
			fails++
		default:
			works++
		}
	}
	if works < 20 || fails < 20 {
		t.Errorf("%d requests succeeded and %d failed", works, fails)
	}
	ours := lines(c.logged(), `"logger":"pismo"`)
	check(t, "lines", strings.Count(ours, "\n")-strings.Count(ours, `"level":"debug"`), 3)
}
