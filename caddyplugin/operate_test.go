// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// adminSend sends a request to the admin API.
func (s *fixture) adminSend(method, path, body string) reply {
	s.t.Helper()
	addr := s.addr
	s.addr = s.admin
	defer func() { s.addr = addr }()
	return s.send(method, path, body)
}

// A client is the status of a client in the admin API.
type client struct {
	Name             string         `json:"name"`
	Accounts         int            `json:"accounts"`
	Tokens           int            `json:"tokens"`
	Issuances        int            `json:"issuances"`
	Failures         map[string]int `json:"failures"`
	NextExpiry       *time.Time     `json:"next_expiry"`
	CoolingDown      int            `json:"cooling_down"`
	BreakerOpenUntil *time.Time     `json:"breaker_open_until"`
	BreakerCause     string         `json:"breaker_cause"`
	Store            *store         `json:"store"`
}

func (s *fixture) clients() []client {
	s.t.Helper()
	r := s.adminSend(http.MethodGet, "/pismo/clients", "")
	wantStatus(s.t, r, http.StatusOK)
	var clients []client
	decoder := json.NewDecoder(strings.NewReader(r.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&clients); err != nil {
		s.t.Fatalf("%v: %s", err, r.body)
	}
	if strings.Contains(r.body, alice) || strings.Contains(r.body, bob) {
		s.t.Errorf("the list names an account: %s", r.body)
	}
	return clients
}

func TestAdminAPI_ListsClients(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	if got := s.clients(); len(got) != 1 || got[0].Name != "main" || got[0].Accounts != 0 || got[0].Issuances != 0 || got[0].NextExpiry != nil {
		t.Errorf("at the beginning: got %+v, want the client main without tokens", got)
	}
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.pismo.FailAlways(passporttest.RateLimited(30 * time.Second))
	for _, other := range []string{bob, "5", "6"} {
		wantStatus(t, s.get(other, withField("X-Account", other)), http.StatusServiceUnavailable)
	}
	got := s.clients()[0]
	if got.Accounts != 4 || got.Tokens != 1 || got.Issuances != 4 || got.Failures["rate_limited"] != 3 || got.CoolingDown != 3 || got.BreakerCause != "rate_limited" {
		t.Errorf("after a success and three failures: got %+v, want 1 token, 3 failures and an open breaker", got)
	}
	if left := time.Until(*got.NextExpiry); left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("the token expires in %s, want 9m to 10m", left)
	}
	if left := time.Until(*got.BreakerOpenUntil); left < 20*time.Second || left > 30*time.Second {
		t.Errorf("the breaker is open for %s, want 20s to 30s", left)
	}
}

func TestAdminAPI_InvalidatesOneOrAll(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	both := func(issued int) {
		t.Helper()
		wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
		wantStatus(t, s.get(bob, withField("X-Account", bob)), http.StatusOK)
		if counts := s.pismo.Counts(); counts.Issued != issued {
			t.Errorf("%d tokens were issued, want %d", counts.Issued, issued)
		}
	}
	both(2)
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", `{"account":"`+alice+`"}`), http.StatusNoContent)
	both(3)
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", `{"account":`+bob+`}`), http.StatusNoContent)
	both(4)
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", `{"account":"organization"}`), http.StatusNoContent)
	both(4)
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", ""), http.StatusNoContent)
	both(6)
	if log := strings.Join(s.log(), "\n"); strings.Contains(log, "account\":") {
		t.Errorf("an account was logged: %s", log)
	}
}

func TestAdminAPI_RefusesInvalidRequests(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/pismo/clients", "", http.StatusMethodNotAllowed},
		{http.MethodGet, "/pismo/clients/main/invalidate", "", http.StatusMethodNotAllowed},
		{http.MethodPost, "/pismo/clients/other/invalidate", "", http.StatusNotFound},
		{http.MethodPost, "/pismo/clients/main/burn", "", http.StatusNotFound},
		{http.MethodPost, "/pismo/clients/main", "", http.StatusNotFound},
		{http.MethodPost, "/pismo/clients/a/b/invalidate", "", http.StatusNotFound},
		{http.MethodPost, "/pismo/clients/main/invalidate", `{}`, http.StatusBadRequest},
		{http.MethodPost, "/pismo/clients/main/invalidate", `{"accounts":"1"}`, http.StatusBadRequest},
		{http.MethodPost, "/pismo/clients/main/invalidate", `{"account":""}`, http.StatusBadRequest},
		{http.MethodPost, "/pismo/clients/main/invalidate", `{"account":null}`, http.StatusBadRequest},
		{http.MethodPost, "/pismo/clients/main/invalidate", `{"account":"0` + alice + `"}`, http.StatusBadRequest},
		{http.MethodPost, "/pismo/clients/main/invalidate", alice, http.StatusBadRequest},
		{http.MethodPost, "/pismo/clients/main/invalidate", `{"account":"` + strings.Repeat("1", 5000) + `"}`, http.StatusBadRequest},
	} {
		r := s.adminSend(test.method, test.path, test.body)
		wantStatus(t, r, test.status)
		if strings.Contains(r.body, alice) {
			t.Errorf("the answer repeats the account: %s", r.body)
		}
	}
}

// The names are those of OpenTelemetry's exporter for the metrics of package
// telemetry.
func TestMetrics_SurviveReload(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.pismo.RevokeAll()
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	for range 2 {
		metrics := s.adminSend(http.MethodGet, "/metrics", "").body
		for _, want := range []string{
			`pismo_token_issue_duration_seconds_count{client="main",pismo_token_issue_reason="cold"} 1`,
			`pismo_token_issue_duration_seconds_count{client="main",pismo_token_issue_reason="refused"} 1`,
			`pismo_token_acquisitions_total{client="main",pismo_token_acquire_origin="cached"} 2`,
			`pismo_token_acquisitions_total{client="main",pismo_token_acquire_origin="issued"} 1`,
			`pismo_token_acquire_duration_seconds_count{client="main",pismo_token_acquire_origin="issued"} `,
			`pismo_token_rejections_total{client="main",pismo_token_rejection_outcome="replayed",pismo_token_rejection_verdict="token_refused"} 1`,
			`pismo_token_cached{client="main"} 1`,
			`pismo_token_cooldown{client="main",pismo_token_cooldown_extent="account"} 0`,
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics do not contain %s", want)
			}
		}
		if strings.Contains(metrics, alice) {
			t.Error("the metrics name an account")
		}
		s.reload(s.caddyfile("", byHeader)) // The counts survive the reload.
	}
}

// The server has all metrics and labels that the dashboard and the alert rules
// of the examples name, except job, which Prometheus adds itself.
func TestMetrics_ServeNamesOfDashboard(t *testing.T) {
	memory.Clear()
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("store test", byHeader))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.pismo.RevokeAll()
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.pismo.FailAlways(passporttest.RateLimited(30 * time.Second))
	wantStatus(t, s.get(bob, withField("X-Account", bob)), http.StatusServiceUnavailable)
	served := map[string]bool{}
	for _, word := range metricNames(s.adminSend(http.MethodGet, "/metrics", "").body) {
		served[word] = true
	}
	for _, file := range []string{"../examples/dashboard/dashboard.json", "../examples/dashboard/alerts.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := metricNames(string(text))
		if len(named) < 20 {
			t.Errorf("%s names %q, want 20 names or more", file, named)
		}
		for _, word := range named {
			if !served[word] {
				t.Errorf("%s names %s, which is not served", file, word)
			}
		}
	}
}

// metricNames returns the names of the plugin's metrics and of labels in a
// text.
func metricNames(text string) []string {
	return regexp.MustCompile(`\bpismo_(?:token|store)_[a-z_]+|\berror_type\b`).FindAllString(text, -1)
}
