// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestReload_KeepsTokensOfSameClient(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	get := func(issued int) {
		t.Helper()
		wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
		if counts := s.pismo.Counts(); counts.Issued != issued {
			t.Errorf("%d tokens were issued, want %d", counts.Issued, issued)
		}
	}
	s.start(s.caddyfile("", byHeader))
	get(1)
	s.reload(s.caddyfile("", byHeader))
	get(1)
	s.reload(s.caddyfile("", byHeader+"\nheader X-Other yes"))
	get(1)
	for _, option := range []string{"max_accounts 5", "issue_timeout 9s", "max_issuances 8", "hosts 127.0.0.1 localhost", "dial_timeout 2s"} {
		s.reload(s.caddyfile(option, byHeader))
		get(1)
	}
	s.reload(s.caddyfile("secret_field server_secret", byHeader))
	get(2)
	s.reload(s.caddyfile("", byHeader)) // The tokens of the first client ended with it.
	get(3)
	t.Setenv("PISMO_KEY", s.pismo.ServerKey())
	s.reload(strings.Replace(s.caddyfile("", byHeader), s.expand("{file.$SECRETS/key}"), "{env.PISMO_KEY}", 1))
	get(4)
}

// A placeholder may have a new value, with another host.
func TestReload_NewPlaceholderValueIsNewClient(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	other := passporttest.NewServer(t, passporttest.Config{ServerKey: s.pismo.ServerKey(), ServerSecret: s.pismo.ServerSecret()})
	caddyfile := strings.ReplaceAll(s.caddyfile("", "pismo_proxy {env.PISMO_UPSTREAM} {\n account "+alice+"\n}"), s.pismo.URL(), "http://{env.PISMO_UPSTREAM}")
	t.Setenv("PISMO_UPSTREAM", s.pismo.Host())
	s.start(caddyfile)
	wantStatus(t, s.get(alice), http.StatusOK)
	t.Setenv("PISMO_UPSTREAM", other.Host())
	s.reload(caddyfile)
	wantStatus(t, s.get(alice), http.StatusOK)
	if a, b := s.pismo.Counts(), other.Counts(); a.Issued != 1 || b.Issued != 1 || b.TotalRefused() != 0 {
		t.Errorf("got %d and %d issuances, refused %v, want 1 each and no refusal", a.Issued, b.Issued, b.Refused)
	}
}

func TestClient_ReadsRotatedSecret(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.writeSecret("secret", s.pismo.RotateSecret())
	wantStatus(t, s.get(bob, withField("X-Account", bob)), http.StatusOK)
}

func TestReload_FailureChangesNothing(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	caddyfile := s.caddyfile("", byHeader)
	s.start(caddyfile)
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	for name, broken := range map[string]string{
		"the upstream is not listed": s.caddyfile("", "pismo_proxy evil.example {\n account {a}\n}"),
		"another client has a fault": strings.Replace(caddyfile, "client main {", "client z {\n base_url https://a.example\n server_key {env.PISMO_NONE}\n server_secret {env.PISMO_NONE}\n}\nclient main {", 1),
		"a port is taken":            caddyfile + "\nhttp://" + s.pismo.Host() + " {\n bind 127.0.0.1\n respond ok\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // Apps start in any order, also before or after the failing app.
				if err := load(s.elsewhere().Replace(strings.Replace(broken, s.logs, s.logs+"-of-the-failed", 1))); err == nil {
					t.Fatal("the reload does not fail")
				}
			}
			wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
			if counts := s.pismo.Counts(); counts.Issued != 1 {
				t.Errorf("%d tokens were issued, want 1", counts.Issued)
			}
		})
	}
	// The logger is still that of the running configuration.
	s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
	wantStatus(t, s.get(bob, withField("X-Account", bob)), http.StatusBadGateway)
	if lines := s.warnings(); len(lines) != 1 || !strings.Contains(lines[0], "token issuance is failing") {
		t.Errorf("the log has %s", lines)
	}
}

func TestLog_OneLinePerChange(t *testing.T) {
	s := newFixture(t, passporttest.Config{Accounts: []string{alice, bob}})
	s.start(s.caddyfile("", byHeader))
	for range 5 {
		for _, unknown := range []string{"7", "8"} {
			s.get(unknown, withField("X-Account", unknown))
		}
	}
	s.pismo.FailAlways(passporttest.RateLimited(0))
	for range 5 {
		s.get(alice, withField("X-Account", alice))
	}
	s.pismo.Heal()
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", ""), http.StatusNoContent)
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.pismo.Refuse(passporttest.Refusal{}.Times(6))
	for range 3 {
		wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusBadGateway)
	}
	var messages []string
	for _, line := range s.log() {
		if strings.Contains(line, `"logger":"pismo"`) && !strings.Contains(line, `"level":"debug"`) {
			if !strings.Contains(line, `"client":"main"`) {
				t.Errorf("a line does not name the client: %s", line)
			}
			_, rest, _ := strings.Cut(line, `"msg":"`)
			message, _, _ := strings.Cut(rest, `"`)
			messages = append(messages, message)
		}
	}
	want := strings.Join([]string{
		"token issuance is failing", // This line is for an account.
		"token issuance is failing", // This line is for all accounts.
		"token issuance recovered", "refused token replaced", "refused token not replaced", "refused token replaced", "refused token replaced",
	}, "|")
	if got := strings.Join(messages, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The key of a gateway is also a secret.
func TestClient_HeaderMayBePlaceholder(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	t.Setenv("PISMO_GATEWAY_KEY", "gateway-key")
	gateway := listen(t, "tcp", "127.0.0.1:0")
	serve(t, gateway, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Gateway") != "gateway-key" {
			t.Errorf("the gateway got the key %q", r.Header.Get("X-Gateway"))
		}
		s.pismo.Handler().ServeHTTP(w, r)
	}))
	s.start(strings.Replace(s.caddyfile("header X-Gateway {env.PISMO_GATEWAY_KEY}", byHeader), s.pismo.URL(), "http://"+gateway.Addr().String(), 1))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	if config := s.adminSend(http.MethodGet, "/config/", "").body; strings.Contains(config, "gateway-key") {
		t.Error("the configuration shows the key")
	}
}

func TestReload_ClosesUnusedConnections(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	var open atomic.Int64
	gateway := httptest.NewUnstartedServer(s.pismo.Handler())
	gateway.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	gateway.Start()
	t.Cleanup(gateway.Close)
	through := func(site string) string { return strings.Replace(s.caddyfile("", site), s.pismo.URL(), gateway.URL, 1) }
	s.start(through("pismo_proxy $PISMO {\n account " + alice + "\n}"))
	wantStatus(t, s.get(alice), http.StatusOK)
	if n := open.Load(); n != 1 {
		t.Fatalf("%d connections to the token endpoint, want 1", n)
	}
	s.reload(s.caddyfile("", "respond ok"))
	s.await("the connection is kept", func() bool { return open.Load() == 0 })
}
