// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// errorRoute is an error route.
const errorRoute = "handle_errors {\n respond \"sorry: {err.status_code}\"\n}"

// Failures of the transport also reach error routes. They do not count as
// failures of the upstream.
func TestErrorsHandle_ReachesTheTransport(t *testing.T) {
	for name, proxy := range map[string]string{
		"pismo_proxy": "pismo_proxy $PISMO {\n account " + alice + "\n errors handle\n fail_duration 30s\n max_fails 1\n",
		"transport":   "reverse_proxy $PISMO {\n fail_duration 30s\n max_fails 1\n transport pismo {\n account " + alice + "\n errors handle\n }\n",
		"both":        "pismo_auth {\n account " + alice + "\n errors handle\n}\nreverse_proxy $PISMO {\n fail_duration 30s\n max_fails 1\n transport pismo {\n errors handle\n }\n",
	} {
		for _, response := range []string{"", "@bad status 5xx\n handle_response @bad {\n respond bad 599\n}\n"} {
			t.Run(name, func(t *testing.T) {
				s := newFixture(t, passporttest.Config{})
				s.start(s.caddyfile("", proxy+response+"}\n"+errorRoute))
				s.pismo.Refuse(passporttest.Refusal{}.Times(2))
				if r := s.get(alice); r.body != "sorry: 502" {
					t.Errorf("a refused token: got %d %q, want sorry: 502", r.status, r.body)
				}
				if r := s.send(http.MethodTrace, "/", ""); r.body != "sorry: 501" {
					t.Errorf("TRACE: got %d %q, want sorry: 501", r.status, r.body)
				}
				if r := s.send(http.MethodPost, "/", "{}", withField("Early-Data", "1")); r.body != "sorry: 425" {
					t.Errorf("early data: got %d %q, want sorry: 425", r.status, r.body)
				}
				wantStatus(t, s.get(alice), http.StatusOK) // The upstream is not down.
			})
		}
	}
}

// Without pismo_auth, the transport gets its first token during the request.
func TestErrorsHandle_SaysWhenToRetry(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.pismo.FailAlways(passporttest.RateLimited(7 * time.Second))
	s.start(s.caddyfile("", "reverse_proxy $PISMO {\n transport pismo {\n account "+alice+"\n errors handle\n }\n}\n"+errorRoute))
	if r := s.get(alice); r.body != "sorry: 503" || r.header.Get("Retry-After") != "7" {
		t.Errorf("got %q, Retry-After %q, want sorry: 503 and 7", r.body, r.header.Get("Retry-After"))
	}
}

// An upstream cannot forge a failure of the plugin.
func TestErrorsHandle_CannotBeForged(t *testing.T) {
	s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Pismo-Failure", "x")
		_, _ = io.WriteString(w, "mine")
	})})
	s.start(s.caddyfile("", "pismo_proxy $PISMO {\n account "+alice+"\n errors handle\n}\n"+errorRoute))
	if r := s.get(alice); r.body != "mine" {
		t.Errorf("got %q, want mine", r.body)
	}
}

// Without the plugin, Caddy answers with a status only if an upstream is dead.
func TestUpstream_UnreachableIsAProblem(t *testing.T) {
	for name, test := range map[string]struct {
		site, more string
		want       string // # and the type of a problem, or the whole body
	}{
		"no route":          {"pismo_proxy $DEAD {\n account " + alice + "\n}", "", "#upstream-unreachable"},
		"own auth":          {"pismo_auth {\n account " + alice + "\n}\nreverse_proxy $DEAD {\n transport pismo\n}", "", "#upstream-unreachable"},
		"retries":           {"pismo_proxy $DEAD {\n account " + alice + "\n lb_retries 2\n}", "", "#upstream-unreachable"},
		"a route":           {"pismo_proxy $DEAD {\n account " + alice + "\n}\n" + errorRoute, "", "sorry: 502"},
		"for another error": {"pismo_proxy $DEAD {\n account " + alice + "\n}\nhandle_errors 404 {\n respond no\n}", "", "#upstream-unreachable"},
		"of another site":   {"pismo_proxy $DEAD {\n account " + alice + "\n}", "http://other.example:$PORT {\n handle_errors {\n respond no\n}\n}", "#upstream-unreachable"},
		"left to routes":    {"pismo_proxy $DEAD {\n account " + alice + "\n errors handle\n}", "", ""},
		"a second proxy":    {"pismo_proxy $DEAD {\n account " + alice + "\n}\nhandle_errors {\n reverse_proxy $PLAIN\n}", "", "sent 5"},
		"a second of ours":  {"pismo_proxy $DEAD {\n account " + alice + "\n}\nhandle_errors {\n pismo_proxy $PISMO {\n account " + alice + "\n}\n}", "", "sent 5"},
	} {
		t.Run(name, func(t *testing.T) {
			counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = io.WriteString(w, "sent "+string('0'+rune(len(body))))
			})
			s := newFixture(t, passporttest.Config{Resource: counting})
			_, port, _ := strings.Cut(s.addr, ":")
			site := strings.NewReplacer("$DEAD", freeport.Address(t), "$PLAIN", s.plain(counting), "$PORT", port)
			s.start(site.Replace(s.caddyfile("", test.site) + s.expand(test.more)))
			r := s.send(http.MethodPost, "/v1/payments", "12345")
			if strings.HasPrefix(test.want, "#") {
				wantProblem(t, r, http.StatusBadGateway, test.want[1:])
				s.awaitLogged("the platform cannot be reached", 1)
			} else if r.body != test.want {
				t.Errorf("got %d %q", r.status, r.body)
			}
		})
	}
}

// Caddy sends no request to an upstream that is marked as down.
func TestUpstream_MarkedDownIsAProblem(t *testing.T) {
	for name, test := range map[string]struct{ more, want string }{
		"no route": {"", ""},
		"a route":  {errorRoute, "sorry: 503"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			dead := freeport.Address(t)
			s.start(s.caddyfile("", "pismo_proxy "+dead+" {\n account "+alice+"\n fail_duration 1m\n}\n"+test.more))
			s.get(alice)
			r := s.get(alice)
			if test.want != "" {
				if r.body != test.want {
					t.Errorf("got %q, want %q", r.body, test.want)
				}
				return
			}
			wantProblem(t, r, http.StatusServiceUnavailable, "upstream-unreachable")
			if r.header.Get("Retry-After") == "" {
				t.Error("the answer has no Retry-After")
			}
		})
	}
}

// A handler behind pismo_auth may fail with the same status for another reason.
func TestAuth_PassesOtherErrorsOn(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", "route {\n pismo_auth {\n account "+alice+"\n}\n error \"for maintenance\" 503\n}"))
	if r := s.get(alice); r.status != http.StatusServiceUnavailable || r.body != "" {
		t.Errorf("got %d %q", r.status, r.body)
	}
}

// The directive intercept replaces the body of an answer and keeps its header.
func TestProblem_SurvivesIntercept(t *testing.T) {
	const intercept = "intercept {\n @bad status 4xx 5xx\n handle_response @bad {\n respond \"sorry: {resp.status_code}\"\n}\n}\n"
	for name, site := range map[string]string{
		"no account":   "pismo_proxy $PISMO {\n account {nothing}\n}",
		"transport":    "reverse_proxy $PISMO {\n transport pismo {\n account {nothing}\n}\n}",
		"dead":         "pismo_proxy " + freeport.Address(t) + " {\n account " + alice + "\n}",
		"left to Auth": "pismo_auth {\n account {nothing}\n}\nrespond ok",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", "route {\n"+intercept+site+"\n}"))
			if r := s.get(alice); !strings.HasPrefix(r.body, "sorry: ") {
				t.Errorf("got %d %q", r.status, r.body)
			}
		})
	}
}

// A subroute in the JSON configuration may have its own error routes.
func TestUpstream_UnreachableInASubroute(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	config, err := adapt(s.caddyfile("", "pismo_proxy "+freeport.Address(t)+" {\n account "+alice+"\n}"))
	if err != nil {
		t.Fatal(err)
	}
	const routes = `{"handler":"subroute","routes":[{"handle":[{"account"`
	errors := `{"handler":"subroute","errors":{"routes":[{"handle":[{"handler":"static_response","body":"sub"}]}]},"routes":[{"handle":[{"account"`
	if !bytes.Contains(config, []byte(routes)) {
		t.Fatalf("%s", config)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	if err := caddy.Load(bytes.Replace(config, []byte(routes), []byte(errors), 1), true); err != nil {
		t.Fatal(err)
	}
	if r := s.get(alice); r.body != "sub" {
		t.Errorf("got %d %q", r.status, r.body)
	}
}

func TestUpstream_TimeoutIsAProblem(t *testing.T) {
	s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })})
	s.start(s.caddyfile("", "pismo_proxy $PISMO {\n account "+alice+"\n transport pismo {\n response_header_timeout 50ms\n}\n}"))
	wantProblem(t, s.get(alice), http.StatusGatewayTimeout, "upstream-timeout")
}

// The access log distinguishes such a request from an empty answer.
func TestAuth_ClientGoneIs499(t *testing.T) {
	for name, site := range map[string]string{
		"pismo_proxy":     "pismo_proxy $PISMO {\n account " + alice + "\n}",
		"errors handle":   "pismo_proxy $PISMO {\n account " + alice + "\n errors handle\n}\n" + errorRoute,
		"transport pismo": "reverse_proxy $PISMO {\n transport pismo {\n account " + alice + "\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.pismo.FailAlways(passporttest.Hang())
			s.start(s.caddyfile("", "log\n"+site))
			s.leaveWhileTokenIsIssued()
			s.pismo.Heal()
			s.await("it was not logged", func() bool {
				for _, line := range s.log() {
					var entry struct {
						Msg    string
						Status int
					}
					if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "handled request" {
						if entry.Status != 499 {
							t.Errorf("logged with status %d, want 499", entry.Status)
						}
						return true
					}
				}
				return false
			})
		})
	}
}

// Each proxy of a request has its own replay. All attempts of a proxy share one
// replay.
func TestReplay_OncePerProxy(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", `pismo_proxy $PISMO {
		account organization
		rewrite /v1/organization
		@ok status 200
		handle_response @ok {
			pismo_proxy $PISMO {
				account `+alice+`
			}
		}
	}`))
	wantStatus(t, s.get(alice), http.StatusOK)
	s.pismo.RevokeAll()
	wantStatus(t, s.get(alice), http.StatusOK)
	if counts := s.pismo.Counts(); counts.Issued != 4 {
		t.Errorf("%d tokens were issued, want 4", counts.Issued)
	}
}

// A body is sent to the upstream while it arrives.
func TestBody_StreamsWhileRecorded(t *testing.T) {
	var first atomic.Bool
	seen := make(chan struct{})
	s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, begun); err == nil && first.CompareAndSwap(false, true) {
			close(seen)
		}
		rest, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append(begun, rest...))
	})})
	s.start(s.caddyfile("", `pismo_proxy `+freeport.Address(t)+` $PISMO {
		account `+alice+`
		lb_policy first
		lb_try_duration 1s
		fail_duration 30s
	}`))
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, "first")
		select {
		case <-seen:
		case <-t.Context().Done():
		}
		_, _ = io.WriteString(writer, "second")
		_ = writer.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/", reader)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 11
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "firstsecond" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
}
