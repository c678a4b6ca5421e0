package caddyplugin_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// checked waits until the upstream has seen a number of requests that the
// organization's token was good for.
func (s *setup) checked(times int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if err := s.pismo.Await(ctx, func(c passporttest.Counts) bool { return c.Accounts[""].Accepted >= times }); err != nil {
		s.t.Fatal("no health check: ", err)
	}
}

func TestHealthChecksHaveTheOrganizationsToken(t *testing.T) {
	s := newSetup(t, passporttest.Config{Resource: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	s.start(s.caddyfile("", `pismo_proxy $PISMO {
		account `+alice+`
		health_uri /v1/health
		health_interval 20ms
	}`))
	s.checked(2)
	wantStatus(t, s.get(alice), http.StatusOK)
}

func TestHealthChecksPassForWantOfATokenWhateverTheyExpect(t *testing.T) {
	for _, expected := range []string{"", "health_status 204", "health_status 4xx"} {
		t.Run(expected, func(t *testing.T) {
			resource := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/health" && strings.HasSuffix(expected, "4xx") {
					w.WriteHeader(http.StatusNotFound)
				} else if r.URL.Path == "/v1/health" && expected != "" {
					w.WriteHeader(http.StatusNoContent)
				}
			})
			s := newSetup(t, passporttest.Config{Resource: resource})
			s.start(s.caddyfile("", `pismo_proxy $PISMO {
				account `+alice+`
				health_uri /v1/health
				health_interval 20ms
				`+expected+`
			}`))
			s.checked(1)
			wantStatus(t, s.get(alice), http.StatusOK)
			s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
			wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/flush", `{"account":"organization"}`), http.StatusNoContent)
			s.logged("health checks are not sent for want of a token", 1)
			wantStatus(t, s.get(alice), http.StatusOK) // With the token that there is.
			s.pismo.Heal()
			wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/flush", ""), http.StatusNoContent)
			s.logged("health checks are sent again", 1)
			s.logged("health checks are not sent for want of a token", 1)
			wantStatus(t, s.get(alice), http.StatusOK)
		})
	}
}

// logged waits until a message has been logged, and checks how often it was.
func (s *setup) logged(message string, times int) {
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

func TestWhatTakesOurAnswersForTheUpstreamsIsWarnedOf(t *testing.T) {
	const bare = "transport pismo {\n account " + alice + "\n}\n"
	for name, test := range map[string]struct {
		site string
		want []string
	}{
		"unhealthy_status":    {"reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_status 5xx\n" + bare + "}", []string{`"option":"unhealthy_status"`}},
		"unhealthy_latency":   {"reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_latency 1s\n" + bare + "}", []string{`"option":"unhealthy_latency"`}},
		"both":                {"reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_latency 1s\n unhealthy_status 502\n" + bare + "}", []string{`"option":"unhealthy_status"`, `"option":"unhealthy_latency"`}},
		"a body":              {"reverse_proxy $PISMO {\n health_uri /v1/health\n health_body ok\n" + bare + "}", []string{"health checks expect a body"}},
		"neither":             {"reverse_proxy $PISMO {\n fail_duration 30s\n max_fails 1\n" + bare + "}", nil},
		"pismo_proxy":         {"pismo_proxy $PISMO {\n account " + alice + "\n fail_duration 30s\n unhealthy_status 5xx\n unhealthy_latency 1s\n}", nil},
		"pismo_auth in front": {"pismo_auth {\n account " + alice + "\n}\nreverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_status 5xx\n transport pismo\n}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, passporttest.Config{})
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

func init() { caddy.RegisterModule(closed{}) }

// closed is a circuit breaker that never opens. Caddy comes with none.
type closed struct{}

func (closed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.circuit_breakers.closed", New: func() caddy.Module { return new(closed) }}
}

func (closed) OK() bool { return true }

func (closed) RecordMetric(int, time.Duration) {}

func TestACircuitBreakerIsWarnedOf(t *testing.T) {
	s := newSetup(t, passporttest.Config{})
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
		t.Errorf("warned %s", lines)
	}
}
