// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A suppressed error has another answer than an error of an attempt.
func TestProblem_FollowsTokenError(t *testing.T) {
	for name, test := range map[string]struct {
		fault  passporttest.Fault
		status int
		kind   string
	}{
		"an outage":    {passporttest.Status(http.StatusInternalServerError), http.StatusBadGateway, "unavailable"},
		"a firewall":   {passporttest.HTML(http.StatusForbidden), http.StatusBadGateway, "unavailable"},
		"a rate limit": {passporttest.RateLimited(7 * time.Second), http.StatusServiceUnavailable, "rate-limited"},
		"a hang":       {passporttest.Hang(), http.StatusGatewayTimeout, "timeout"},
		"a mix-up":     {passporttest.WrongAccount(bob), http.StatusBadGateway, "account-mismatch"},
	} {
		for site, caddyfile := range map[string]string{
			"pismo_proxy":     "pismo_proxy $PISMO {\n account " + alice + "\n}",
			"transport pismo": "reverse_proxy $PISMO {\n transport pismo {\n account " + alice + "\n}\n}",
		} {
			t.Run(name+", "+site, func(t *testing.T) {
				s := newFixture(t, passporttest.Config{})
				s.pismo.FailAlways(test.fault)
				s.start(s.caddyfile("issue_timeout 200ms", caddyfile))
				r := s.get(alice)
				wantProblem(t, r, test.status, test.kind)
				if strings.Contains(name, "rate") && r.header.Get("Retry-After") != "7" {
					t.Errorf("Retry-After is %q, want 7", r.header.Get("Retry-After"))
				}
				if s.pismo.Counts().ResourceRequests != 0 {
					t.Error("a request was sent without a token")
				}
			})
		}
	}
}

func TestErrorsHandle_ReachesErrorRoutes(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.pismo.FailAlways(passporttest.RateLimited(7 * time.Second))
	s.start(s.caddyfile("", `pismo_proxy $PISMO {
		account_header X-Account [0-9]+
		errors handle
	}
	handle_errors {
		respond "sorry: {err.status_code} {err.message}"
	}`))
	r := s.get(alice, withField("X-Account", alice))
	wantStatus(t, r, http.StatusServiceUnavailable)
	if !strings.HasPrefix(r.body, "sorry: 503 pismoauth: the token endpoint limits the rate of requests (status 429, retry after") || r.header.Get("Retry-After") != "7" {
		t.Errorf("got %q, Retry-After %q, want the error route and the time", r.body, r.header.Get("Retry-After"))
	}
	wantStatus(t, s.get(alice), http.StatusForbidden)
}

func TestEarlyData_UnsafeMethodIs425(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "UNKNOWN"} {
		wantProblem(t, s.send(method, "/v1/payments", "{}", withField("X-Account", alice), withField("Early-Data", "1")), http.StatusTooEarly, "too-early")
	}
	if counts := s.pismo.Counts(); counts.TokenRequests+counts.ResourceRequests != 0 {
		t.Errorf("the platform was asked: %+v", counts)
	}
	wantStatus(t, s.get(alice, withField("X-Account", alice), withField("Early-Data", "1")), http.StatusOK)
	wantStatus(t, s.send(http.MethodPost, "/v1/payments", "{}", withField("X-Account", alice)), http.StatusCreated)
}

func TestProxy_PassesBusiness401(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	r := s.send(http.MethodPost, "/v1/refusals/EUPI0120", "{}", withField("X-Account", alice))
	wantStatus(t, r, http.StatusUnauthorized)
	if !strings.Contains(r.body, "EUPI0120") || s.pismo.Counts().Issued != 1 || len(s.pismo.Deliveries()) != 1 {
		t.Errorf("got %q, counts %+v, want the unchanged 401 after 1 issuance", r.body, s.pismo.Counts())
	}
}

// The client does not know the proxy's token, and cannot replace it.
func TestProxy_Hides401OfItsOwnToken(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.pismo.Refuse(passporttest.Refusal{}.Times(2))
	s.start(s.caddyfile("", byHeader))
	wantProblem(t, s.get(alice, withField("X-Account", alice)), http.StatusBadGateway, "token-refused")
	if counts := s.pismo.Counts(); counts.Scripted != 2 || counts.Issued != 2 {
		t.Errorf("got %d requests with %d tokens, want 2 and 2", counts.Scripted, counts.Issued)
	}
}

func TestProxy_ClientDisconnectIsNoFailure(t *testing.T) {
	for name, site := range map[string]string{
		"pismo_proxy":     "pismo_proxy $PISMO {\n account " + alice + "\n}",
		"transport pismo": "reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_status 5xx\n transport pismo {\n account " + alice + "\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{TokenLatency: 300 * time.Millisecond})
			s.start(s.caddyfile("", "log\n"+site))
			s.leaveWhileTokenIsIssued()
			wantStatus(t, s.get(alice), http.StatusOK) // The issuance has continued.
			if counts := s.pismo.Counts(); counts.Issued != 1 {
				t.Errorf("%d tokens were issued, want 1", counts.Issued)
			}
			for _, line := range s.log() {
				if strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"status":5`) {
					t.Errorf("the log has %s", line)
				}
			}
		})
	}
}

func TestEarlyData_TransportAnswers425(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", "reverse_proxy $PISMO {\n transport pismo {\n account "+alice+"\n}\n}"))
	wantProblem(t, s.send(http.MethodPost, "/v1/payments", "{}", withField("Early-Data", "1")), http.StatusTooEarly, "too-early")
	if counts := s.pismo.Counts(); counts.TokenRequests+counts.ResourceRequests != 0 {
		t.Errorf("the platform was asked: %+v", counts)
	}
}

// The answer to a TRACE contains the request with its token.
func TestProxy_RefusesTraceAndConnect(t *testing.T) {
	for name, site := range map[string]string{
		"pismo_proxy":     "pismo_proxy $PISMO {\n account " + alice + "\n}",
		"transport pismo": "reverse_proxy $PISMO {\n transport pismo {\n account " + alice + "\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", site))
			for _, method := range []string{http.MethodTrace, http.MethodConnect} {
				wantProblem(t, s.send(method, "/v1/accounts/"+alice, ""), http.StatusNotImplemented, "method-not-proxied")
			}
			if counts := s.pismo.Counts(); counts.ResourceRequests != 0 {
				t.Errorf("the platform was asked: %+v", counts)
			}
		})
	}
}

// Source: RFC 8470, section 5.1.
func TestEarlyData_MalformedFieldCounts(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	for _, values := range [][]string{{"0"}, {""}, {"0", "1"}, {"1, 1"}} {
		early := func(r *http.Request) { r.Header["Early-Data"] = values }
		wantProblem(t, s.send(http.MethodPost, "/v1/payments", "{}", withField("X-Account", alice), early), http.StatusTooEarly, "too-early")
	}
}
