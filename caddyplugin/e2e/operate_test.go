// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A status is the status of a client in the admin API.
type status struct {
	Name             string
	Accounts, Tokens int
	Issuances        int
	Failures         map[string]int
	NextExpiry       time.Time `json:"next_expiry"`
	CoolingDown      int       `json:"cooling_down"`
	BreakerOpenUntil time.Time `json:"breaker_open_until"`
	BreakerCause     string    `json:"breaker_cause"`
}

// status returns the status of the only client in the admin API.
func (c *server) status(tb testing.TB) status {
	tb.Helper()
	var all []status
	if err := json.Unmarshal([]byte(c.get("/pismo/clients")), &all); err != nil {
		tb.Fatal(err)
	}
	if len(all) != 1 {
		tb.Fatalf("there are %d clients", len(all))
	}
	return all[0]
}

// invalidate drops cached tokens of the only client.
func (c *server) invalidate(tb testing.TB, body string) {
	tb.Helper()
	status, answer, err := c.adminRequest(http.MethodPost, "/pismo/clients/main/invalidate", body, "Content-Type", "application/json")
	if err != nil || status != http.StatusNoContent {
		tb.Fatalf("status %d, error %v: %s", status, err, answer)
	}
}

func TestAdminAPI_ListsAndInvalidates(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	c := start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()})
	to := newClient(t, address, 1)
	visit := func() {
		t.Helper()
		for user, account := range accounts {
			check(t, "status", to.get(t, "/v1/accounts/"+account, "X-User", user).status, http.StatusOK)
		}
	}
	visit()
	now := c.status(t)
	check(t, "name", now.Name, "main")
	check(t, "tokens", now.Tokens, 2)
	check(t, "issuances", now.Issuances, 2)
	if left := time.Until(now.NextExpiry); left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("the next token expires in %v", left)
	}

	c.invalidate(t, `{"account": "`+alice+`"}`)
	check(t, "tokens after one was forgotten", c.status(t).Tokens, 1)
	visit()
	check(t, "tokens of alice's issued", p.Counts().Accounts[alice].Issued, 2)
	check(t, "tokens of bob's issued", p.Counts().Accounts[bob].Issued, 1)
	c.invalidate(t, "")
	check(t, "tokens after all were forgotten", c.status(t).Tokens, 0)
	visit()
	check(t, "tokens issued", p.Counts().Issued, 5)

	p.FailAlways(passporttest.Status(http.StatusInternalServerError))
	c.invalidate(t, "")
	to.get(t, "/v1/accounts/"+alice, "X-User", "alice")
	now = c.status(t)
	check(t, "accounts that are left alone", now.CoolingDown, 1)
	if now.Failures["unavailable"] == 0 {
		t.Errorf("failures: %v", now.Failures)
	}
}

func TestMetrics_NameTheClient(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	s := serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()}
	c := start(t, s)
	to := newClient(t, address, 1)
	for range 3 {
		to.get(t, "/v1/accounts/"+alice)
	}
	p.Revoke(alice)
	to.get(t, "/v1/accounts/"+alice)
	for range 2 { // A new configuration has a new registry, and keeps the counts.
		text := c.get("/metrics")
		for _, want := range []string{
			`pismo_token_issue_duration_seconds_count{client="main"`,
			`pismo_token_acquisitions_total{client="main"`,
			`pismo_token_rejections_total{client="main"`,
			`pismo_token_cached{client="main"} 1`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is missing in:\n%s", want, lines(text, "pismo"))
			}
		}
		if err := c.load(s); err != nil {
			t.Fatal(err)
		}
	}
}

// lines returns the lines of a text that contain a word.
func lines(text, word string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// The end of the outage causes one more line.
func TestLog_OneWarningPerOutage(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	c := start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()})
	to := newClient(t, address, connections)
	for range 2 {
		p.FailAlways(passporttest.Status(http.StatusInternalServerError))
		c.invalidate(t, "")
		concurrently(connections, func(int) {
			for user := range accounts {
				got, err := to.send(http.MethodGet, "/", nil, "X-User", user)
				if err != nil || got.status < http.StatusInternalServerError {
					t.Errorf("status %d, error %v", got.status, err)
				}
			}
		})
		p.Heal()
		c.invalidate(t, "")
		check(t, "status when it is over", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
	}
	ours := lines(c.logged(), `"logger":"pismo"`)
	check(t, "warnings", strings.Count(ours, `"level":"warn"`), 2)
	// The second outage begins within a minute, so its end is logged only when
	// issuances have succeeded for a minute.
	check(t, "lines that it is over", strings.Count(ours, `"level":"info"`), 1)
	if t.Failed() {
		t.Log(ours)
	}
}

// Without pismo_auth in front, unhealthy_latency counts a wait for a token as a
// failure of the upstream. unhealthy_status does not count the status of an
// answer by the plugin.
func TestPassiveHealth_WarnsOfOwnAnswers(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	for option, want := range map[string]int{"": 0, "unhealthy_status 5xx": 0, "unhealthy_latency 1s": 1} {
		t.Run(fmt.Sprintf("%q", option), func(t *testing.T) {
			t.Parallel()
			address := freeport.Address(t)
			c := start(t, serverConfig{
				global: p.client(),
				sites:  site(address, transportOnly(p.Host(), "fail_duration 30s", option)),
				env:    p.env(),
			})
			warnings := lines(lines(c.logged(), `"level":"warn"`), "pismo")
			check(t, "warnings", strings.Count(warnings, "\n"), want)
			if name, _, _ := strings.Cut(option, " "); want > 0 && !strings.Contains(warnings, name) {
				t.Errorf("the warning does not name %s: %s", name, warnings)
			}
		})
	}
}

// The signature is not shown either.
func TestInspect_ShowsNoToken(t *testing.T) {
	t.Parallel()
	token := newPlatform(t, passporttest.Config{}).token(t, alice)
	inspect := func(stdin string, args ...string) (string, error) {
		command := exec.CommandContext(t.Context(), binary, append([]string{"pismo", "inspect"}, args...)...)
		command.Env = []string{"HOME=" + t.TempDir()}
		command.Stdin = strings.NewReader(stdin)
		out, err := command.CombinedOutput()
		if strings.Contains(string(out), token) {
			t.Error("the token is shown")
		}
		return string(out), err
	}
	if out, err := inspect(token); err != nil || !strings.Contains(out, "account    "+alice) {
		t.Errorf("error %v: %s", err, out)
	}
	if out, err := inspect("", token); err == nil || !strings.Contains(out, "standard input") {
		t.Errorf("with an argument: error %v: %s", err, out)
	}
}
