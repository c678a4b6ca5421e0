// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The first upstream is dead. The part of the body that was read for it must
// also reach the second upstream.
func TestBody_ReachesNextUpstream(t *testing.T) {
	for name, body := range map[string]string{
		"kept":     strings.Repeat("x", 1000),
		"streamed": strings.Repeat("x", 100_000),
		"none":     "",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", `pismo_proxy `+freeport.Address(t)+` $PISMO {
				account `+alice+`
				lb_policy first
				lb_retries 3
				fail_duration 30s
			}`))
			wantStatus(t, s.send(http.MethodPost, "/v1/payments", body), http.StatusCreated)
			deliveries := s.pismo.Deliveries()
			if len(deliveries) != 1 || deliveries[0].Length != int64(len(body)) {
				t.Errorf("got the deliveries %+v, want %d bytes once", deliveries, len(body))
			}
		})
	}
}

func TestRetry_SameAttemptsAsReverseProxy(t *testing.T) {
	for _, match := range []string{"", "lb_retry_match {\n expression `{http.reverse_proxy.status_code} == 503`\n}"} {
		attempts := map[string]int64{}
		for _, directive := range []string{"reverse_proxy", "pismo_proxy"} {
			var got atomic.Int64
			resource := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				got.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			s := newFixture(t, passporttest.Config{Resource: resource})
			plain, account := s.plain(resource), ""
			if directive == "pismo_proxy" {
				plain, account = s.pismo.Host(), "account "+alice
			}
			s.start(s.caddyfile("", directive+" "+plain+" "+freeport.Address(t)+` {
				`+account+`
				lb_policy round_robin
				lb_retries 3
				lb_try_interval 1ms
				`+match+`
			}`))
			r := s.get(alice)
			wantStatus(t, r, http.StatusServiceUnavailable)
			attempts[directive] = got.Load()
		}
		if attempts["pismo_proxy"] != attempts["reverse_proxy"] || attempts["pismo_proxy"] == 0 {
			t.Errorf("got the attempts %v, want as many with pismo_proxy as with reverse_proxy", attempts)
		}
	}
}

// plain serves a handler that requires no token.
func (s *fixture) plain(handler http.Handler) string {
	s.t.Helper()
	listener := listen(s.t, "tcp", "127.0.0.1:0")
	serve(s.t, listener, handler)
	return listener.Addr().String()
}

func TestReplay_OncePerRequest(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.pismo.Refuse(passporttest.Refusal{}.Times(100))
	s.start(s.caddyfile("", `pismo_proxy $PISMO {
		account `+alice+`
		lb_retries 3
		lb_try_interval 1ms
		lb_retry_match {
			expression `+"`{http.reverse_proxy.status_code} == 502`"+`
		}
	}`))
	wantStatus(t, s.get(alice), http.StatusBadGateway)
	if counts := s.pismo.Counts(); counts.Scripted != 5 || counts.Issued != 2 {
		t.Errorf("%d requests with %d tokens, want four attempts and one replay", counts.Scripted, counts.Issued)
	}
}

// A failure of the token endpoint must not count against the upstream.
func TestOutage_LeavesUpstreamHealthy(t *testing.T) {
	for name, fault := range map[string]passporttest.Fault{
		"down":        passporttest.Status(http.StatusInternalServerError),
		"hanging":     passporttest.Hang(),
		"bad account": passporttest.Status(http.StatusUnauthorized),
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("issue_timeout 1s", `pismo_proxy $PISMO {
				account_header X-Account [0-9]+
				fail_duration 30s
				max_fails 1
				unhealthy_status 5xx
			}`))
			wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
			s.pismo.FailAlways(fault)
			for i := range 20 {
				if r := s.get(bob, withField("X-Account", fmt.Sprint(200+i))); r.status < 500 {
					t.Fatalf("got status %d, want 5xx", r.status)
				}
			}
			wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
		})
	}
}

// The same holds for a transport by itself.
func TestTransport_OwnFailureKeepsUpstream(t *testing.T) {
	for _, unhealthy := range []string{"", "unhealthy_status 403", "unhealthy_status 2xx 4xx 5xx"} {
		t.Run(unhealthy, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", `reverse_proxy $PISMO {
				fail_duration 30s
				max_fails 1
				`+unhealthy+`
				transport pismo {
					account {http.request.tls.client.subject}
				}
			}`))
			for range 3 {
				wantProblem(t, s.get(alice), http.StatusForbidden, "account-forbidden")
			}
			if len(s.warnings()) > 0 {
				t.Errorf("the log has %s", s.warnings())
			}
		})
	}
}

// An endpoint that always answers 401 does not mark the platform as down. With
// reverse_proxy, a 401 is not a failure either.
func TestTokenRefusal_LeavesUpstreamHealthy(t *testing.T) {
	for name, site := range map[string]string{
		"pismo_proxy":   "pismo_proxy $PISMO {\n account " + alice + "\n fail_duration 30s\n unhealthy_status 5xx\n}",
		"errors handle": "pismo_proxy $PISMO {\n account " + alice + "\n errors handle\n fail_duration 30s\n unhealthy_status 502\n}",
		"transport":     "reverse_proxy $PISMO {\n fail_duration 30s\n unhealthy_status 5xx\n transport pismo {\n account " + alice + "\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/refused" {
					w.WriteHeader(http.StatusUnauthorized)
				}
			})})
			s.start(s.caddyfile("", site))
			for range 2 {
				wantStatus(t, s.send(http.MethodGet, "/v1/refused", ""), http.StatusBadGateway)
			}
			wantStatus(t, s.get(alice), http.StatusOK)
		})
	}
}

func TestBody_SlowClientIs408(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", `timeouts {
		read_timeout 100ms
	}
	pismo_proxy $PISMO {
		account `+alice+`
		fail_duration 30s
		max_fails 1
	}`))
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/payments HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\nhalf of it", s.addr)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, reply{resp.StatusCode, resp.Header, string(body)}, http.StatusRequestTimeout, "body-timeout")
	wantStatus(t, s.get(alice), http.StatusOK) // The upstream is not down.
}

func TestMaxReplayBody_BoundsReplay(t *testing.T) {
	for name, test := range map[string]struct {
		option string
		length int
		status int
	}{
		"within the default": {"", 64 << 10, http.StatusCreated},
		"over the default":   {"", 64<<10 + 1, http.StatusBadGateway},
		"within":             {"max_replay_body 1MiB", 1 << 20, http.StatusCreated},
		"over":               {"max_replay_body 10B", 11, http.StatusBadGateway},
		"off":                {"max_replay_body off", 1, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", `pismo_proxy $PISMO {
				account `+alice+`
				transport pismo {
					`+test.option+`
				}
			}`))
			wantStatus(t, s.get(alice), http.StatusOK)
			s.pismo.RevokeAll()
			wantStatus(t, s.send(http.MethodPost, "/v1/payments", string(bytes.Repeat([]byte("x"), test.length))), test.status)
			wantStatus(t, s.get(alice), http.StatusOK) // The token is renewed for the next request.
			if counts := s.pismo.Counts(); counts.Issued != 2 {
				t.Errorf("%d tokens were issued, want 2", counts.Issued)
			}
		})
	}
}

// net/http resends a payment with an idempotency key after the connection has
// broken, if it can get the body again. The transport prevents that.
func TestPayment_DeliveredOnceOnHangUp(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	listener := listen(t, "tcp", "127.0.0.1:0")
	t.Cleanup(func() { _ = listener.Close() })
	var payments atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				requests := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(requests)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if req.Method == http.MethodPost {
						payments.Add(1)
						return
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	s.start(s.caddyfile("", "pismo_proxy "+listener.Addr().String()+" {\n account "+alice+"\n}"))
	wantStatus(t, s.get(alice), http.StatusOK) // This request leaves an idle connection.
	wantStatus(t, s.send(http.MethodPost, "/v1/payments", "{}", withField("Idempotency-Key", "1")), http.StatusBadGateway)
	if payments.Load() != 1 {
		t.Errorf("delivered %d times, want once", payments.Load())
	}
}
