// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// awaitHealthChecks waits until the upstream has accepted a number of requests
// with the organization's token.
func (s *fixture) awaitHealthChecks(times int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if err := s.pismo.Await(ctx, func(c passporttest.Counts) bool { return c.Accounts[""].Accepted >= times }); err != nil {
		s.t.Fatal("no health check: ", err)
	}
}

// The platform requires a token. A health check without a token only proves
// that the upstream answers.
func TestHealthCheck_BareByDefault(t *testing.T) {
	for name, options := range map[string]string{
		"plain":      "",
		"off":        "health_account off",
		"a status":   "health_status 204",
		"a class":    "health_status 3xx",
		"a body":     "health_body ^fine$",
		"two bodies": "health_body fine|good",
		"twice":      "health_passes 2",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", `pismo_proxy $PISMO {
				account `+alice+`
				health_uri /v1/organization
				health_interval 10ms
				health_fails 1
				`+options+`
			}`))
			s.await("no health check", func() bool { return s.pismo.Counts().Refused[passporttest.ReasonMissing] > 5 })
			if counts := s.pismo.Counts(); counts.TokenRequests != 0 {
				t.Errorf("got %d token requests, want 0", counts.TokenRequests)
			}
			wantStatus(t, s.get(alice), http.StatusOK)
			s.awaitLogged("health checks are sent without a token", 1)
		})
	}
}

// Other failures than those of the authentication count, as with reverse_proxy.
func TestHealthCheck_BareFindsAFault(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a body":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("refined")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			upstream := s.plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for field := range r.Header {
					if strings.HasPrefix(field, "Pismo") {
						t.Errorf("the upstream got the field %s", field)
					}
				}
				answer(w, r)
			}))
			s.start(s.caddyfile("", `pismo_proxy `+upstream+` {
				account `+alice+`
				health_uri /
				health_interval 10ms
				health_body ^fine$
			}`))
			s.await("the upstream stays up", func() bool { return s.get(alice).status == http.StatusServiceUnavailable })
		})
	}
}

// The server key is for accounts only, so the organization gets no token.
func TestHealthCheck_NeverStarvesAccounts(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError} {
		for _, account := range []string{"", "health_account organization"} {
			t.Run(strconv.Itoa(status)+account, func(t *testing.T) {
				s := newFixture(t, passporttest.Config{})
				var refused atomic.Int64
				gateway := s.plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					if err == nil && !bytes.Contains(body, []byte("account_id")) {
						refused.Add(1)
						w.Header().Set("Content-Type", "application/json")
						w.WriteHeader(status)
						_, _ = io.WriteString(w, `{"message":"no"}`)
						return
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
					s.pismo.Handler().ServeHTTP(w, r)
				}))
				s.start(strings.Replace(s.caddyfile("", `pismo_proxy $PISMO {
					account_header X-Account [0-9]+
					health_uri /v1/organization
					health_interval 10ms
					`+account+`
				}`), s.pismo.URL(), "http://"+gateway, 1))
				if account != "" {
					s.awaitLogged("health checks have no token, and count as passed", 1)
				}
				for i := range 30 {
					id := strconv.Itoa(500 + i)
					wantStatus(t, s.get(id, withField("X-Account", id)), http.StatusOK)
				}
				if n := refused.Load(); account == "" && n != 0 || account != "" && n == 0 {
					t.Errorf("got %d requests for the organization's token, want some with health_account only", n)
				}
			})
		}
	}
}

func TestHealthCheck_HasItsAccount(t *testing.T) {
	for _, account := range []string{"organization", bob} {
		s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
		s.start(s.caddyfile("", `pismo_proxy $PISMO {
			account `+alice+`
			health_uri /v1/health
			health_interval 20ms
			health_account `+account+`
		}`))
		s.await("no health check", func() bool {
			return s.pismo.Counts().Accounts[strings.TrimPrefix(account, "organization")].Accepted > 2
		})
		wantStatus(t, s.get(alice), http.StatusOK)
	}
}

// A client cannot forge a request that counts as a health check.
func TestHealthCheck_CannotBeForged(t *testing.T) {
	s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if token, _ := passporttest.TokenFromContext(r.Context()); r.URL.Path != "/check" && token.Account != alice {
			t.Errorf("got a request for the account %q", token.Account)
		}
	})})
	s.start(s.caddyfile("", `pismo_proxy $PISMO {
		account `+alice+`
		health_uri /check
		health_interval 1h
		health_account organization
	}`))
	for _, mark := range []string{"", "1", "{http.request.uuid}", strings.Repeat("A", 26)} {
		wantStatus(t, s.get(alice, withField("Pismo-Health-Check", mark)), http.StatusOK)
	}
}

// A check without a token says nothing about the upstream.
func TestHealthCheck_PassesWithoutToken(t *testing.T) {
	for _, expected := range []string{"", "health_status 204", "health_status 4xx", "health_body ^fine$"} {
		t.Run(expected, func(t *testing.T) {
			resource := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != "/v1/health":
				case strings.HasSuffix(expected, "4xx"):
					w.WriteHeader(http.StatusNotFound)
				case strings.HasSuffix(expected, "204"):
					w.WriteHeader(http.StatusNoContent)
				default:
					_, _ = io.WriteString(w, "fine")
				}
			})
			s := newFixture(t, passporttest.Config{Resource: resource})
			s.start(s.caddyfile("", `pismo_proxy $PISMO {
				account `+alice+`
				health_account organization
				health_uri /v1/health
				health_interval 20ms
				`+expected+`
			}`))
			s.awaitHealthChecks(1)
			wantStatus(t, s.get(alice), http.StatusOK)
			s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
			wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", `{"account":"organization"}`), http.StatusNoContent)
			s.awaitLogged("health checks have no token, and count as passed", 1)
			wantStatus(t, s.get(alice), http.StatusOK) // The cached token is used.
			s.pismo.Heal()
			wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", ""), http.StatusNoContent)
			s.awaitHealthChecks(s.pismo.Counts().Accounts[""].Accepted + 1)
			wantStatus(t, s.get(alice), http.StatusOK)
		})
	}
}

// awaitLogged waits until a message is in the log, and checks how often.
func (s *fixture) awaitLogged(message string, times int) {
	s.t.Helper()
	got := 0
	s.await(message+": was not logged", func() bool {
		got = strings.Count(strings.Join(s.log(), "\n"), message)
		return got >= times
	})
	if got > times {
		s.t.Errorf("%q was logged %d times, want %d", message, got, times)
	}
}

// These options count answers of the transport as failures of the upstream.
func TestPassiveHealth_WarnsOfOwnAnswers(t *testing.T) {
	const bare = "transport pismo {\n account " + alice + "\n}\n"
	for name, test := range map[string]struct {
		site string
		want []string
	}{
		"unhealthy_status":    {"reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_status 5xx\n" + bare + "}", nil},
		"unhealthy_latency":   {"reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_latency 1s\n" + bare + "}", []string{`"option":"unhealthy_latency"`}},
		"both":                {"reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_latency 1s\n unhealthy_status 502\n" + bare + "}", []string{`"option":"unhealthy_latency"`}},
		"neither":             {"reverse_proxy $PISMO {\n fail_duration 30s\n max_fails 1\n" + bare + "}", nil},
		"pismo_proxy":         {"pismo_proxy $PISMO {\n account " + alice + "\n fail_duration 30s\n unhealthy_status 5xx\n unhealthy_latency 1s\n}", nil},
		"pismo_auth in front": {"pismo_auth {\n account " + alice + "\n}\nreverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_status 5xx\n transport pismo\n}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", test.site))
			lines := s.warnings()
			if len(lines) != len(test.want) {
				t.Fatalf("warned %s, want %q", lines, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], `"logger":"http.reverse_proxy.transport.pismo"`) {
					t.Errorf("warned %s, want %q", lines[i], want)
				}
			}
		})
	}
}

func init() { caddy.RegisterModule(closedBreaker{}) }

// closedBreaker is a circuit breaker that never opens. Caddy itself contains no
// circuit breaker.
type closedBreaker struct{}

func (closedBreaker) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.circuit_breakers.closed", New: func() caddy.Module { return new(closedBreaker) }}
}

func (closedBreaker) OK() bool { return true }

func (closedBreaker) RecordMetric(int, time.Duration) {}

func TestPassiveHealth_WarnsOfCircuitBreaker(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	config, err := adapt(s.caddyfile("", "reverse_proxy $PISMO {\n transport pismo {\n account "+alice+"\n}\n}"))
	if err != nil {
		t.Fatal(err)
	}
	const proxy = `"handler":"reverse_proxy"`
	t.Cleanup(func() { _ = caddy.Stop() })
	if err := caddy.Load(bytes.Replace(config, []byte(proxy), []byte(proxy+`,"circuit_breaker":{"type":"closed"}`), 1), true); err != nil {
		t.Fatal(err)
	}
	if lines := s.warnings(); len(lines) != 1 || !strings.Contains(lines[0], `"option":"circuit_breaker"`) {
		t.Errorf("got the warnings %s, want one of the circuit breaker", lines)
	}
}
