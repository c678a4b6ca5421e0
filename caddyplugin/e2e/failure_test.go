// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// wantProblem fails the test if an answer is not a problem of a type.
func wantProblem(tb testing.TB, got reply, status int, name string) {
	tb.Helper()
	check(tb, "status", got.status, status)
	var problem struct{ Type string }
	if err := json.Unmarshal([]byte(got.body), &problem); err != nil || !strings.HasSuffix(problem.Type, "#"+name) {
		tb.Errorf("got %q, want a problem %s", got.body, name)
	}
}

// Without the plugin, Caddy answers with a status only if an upstream is dead.
func TestUpstream_DeadIsAProblem(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	for name, test := range map[string]struct {
		options []string
		again   int // the status of the second answer
	}{
		"each time":      {nil, http.StatusBadGateway},
		"marked as down": {[]string{"fail_duration 1m"}, http.StatusServiceUnavailable},
		"with retries":   {[]string{"lb_retries 2", "lb_try_interval 1ms"}, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := freeport.Address(t)
			c := start(t, serverConfig{global: p.client("hosts 127.0.0.1"), sites: site(address, pismoProxy(freeport.Address(t), test.options...)), env: p.env()})
			to := newClient(t, address, 1)
			wantProblem(t, to.mustSend(t, http.MethodPost, "/v1/payments", "{}"), http.StatusBadGateway, "upstream-unreachable")
			wantProblem(t, to.get(t, "/v1/accounts/"+alice), test.again, "upstream-unreachable")
			if !strings.Contains(c.logged(), "the platform cannot be reached") {
				t.Error("the log does not report the dead upstream")
			}
		})
	}
}

// Failures of the transport also reach error routes. They do not count as
// failures of the upstream.
func TestErrorsHandle_ReachesTheTransport(t *testing.T) {
	t.Parallel()
	for name, directive := range map[string]func(upstream string) string{
		"pismo_proxy": func(upstream string) string {
			return pismoProxy(upstream, "errors handle", "fail_duration 1m", "unhealthy_status 5xx")
		},
		"transport pismo": func(upstream string) string {
			return block("reverse_proxy "+upstream, "fail_duration 1m", block("transport pismo", "account {account}", "errors handle"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{})
			address := freeport.Address(t)
			start(t, serverConfig{
				global: p.client(),
				sites:  site(address, directive(p.Host()), block("handle_errors", `respond "sorry: {err.status_code}" {err.status_code}`)),
				env:    p.env(),
			})
			to := newClient(t, address, 1)
			p.Refuse(passporttest.Refusal{}.Times(2))
			check(t, "a token that is refused", to.get(t, "/v1/accounts/"+alice).body, "sorry: 502")
			check(t, "TRACE", to.mustSend(t, http.MethodTrace, "/", "").body, "sorry: 501")
			check(t, "a target of the client's", to.get(t, "/v1/x/%2e%2e/y").body, "sorry: 400")
			check(t, "early data", to.mustSend(t, http.MethodPost, "/v1/payments", "{}", "Early-Data", "1").body, "sorry: 425")
			check(t, "an ordinary request", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
		})
	}
}

// The access log distinguishes such a request from an answered request.
func TestAuth_ClientGoneIs499(t *testing.T) {
	t.Parallel()
	for name, directive := range map[string]func(upstream string, more ...string) string{"pismo_proxy": pismoProxy, "transport pismo": transportOnly} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{})
			p.FailAlways(passporttest.Hang())
			address := freeport.Address(t)
			c := start(t, serverConfig{global: p.client(), sites: site(address, "log", directive(p.Host())), env: p.env()})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/accounts/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan error, 1)
			go func() {
				_, err := newClient(t, address, 1).read(req)
				gone <- err
			}()
			await(t, "the request waits for a token", func() bool { return p.Counts().TokenRequests > 0 })
			leave()
			if err := <-gone; err == nil {
				t.Error("the request was answered")
			}
			await(t, "the access log has it", func() bool { return lines(c.logged(), "handled request") != "" })
			check(t, "with its status", strings.Contains(lines(c.logged(), "handled request"), `"status":499`), true)
			p.Heal()
		})
	}
}

// The log names the file for the operator. A client must not learn its name.
func TestSecretFile_MissingOneIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(p.ServerSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeport.Address(t)
	c := start(t, serverConfig{
		global: block("pismo", block("client main", "base_url "+p.URL(), "server_key {env.PISMO_SERVER_KEY}", "server_secret {file."+file+"}")),
		sites:  site(address, pismoProxy(p.Host())),
		env:    p.env(),
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	got := newClient(t, address, 1).get(t, "/v1/accounts/"+alice)
	wantProblem(t, got, http.StatusInternalServerError, "misconfigured")
	if strings.Contains(got.body, file) {
		t.Error("the answer to the client names the file")
	}
	if warning := lines(lines(c.logged(), `"logger":"pismo"`), `"level":"error"`); !strings.Contains(warning, file) {
		t.Errorf("the log does not name the file: %s", warning)
	}
}
