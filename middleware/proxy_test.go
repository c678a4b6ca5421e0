// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// platformServing returns a platform with the given resource API.
func platformServing(tb testing.TB, resource http.HandlerFunc) *fakePlatform {
	tb.Helper()
	return newPlatform(tb, passporttest.Config{Resource: resource})
}

func TestNewProxy_PassesBusinessAnswer(t *testing.T) {
	for _, refusal := range passporttest.Refusals() {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			t.Run(refusal.Name+"/"+method, func(t *testing.T) {
				p := newPlatform(t, passporttest.Config{}) // Each case needs its own token: a token that several endpoints have refused is not sent again.
				token, err := p.source.Token(t.Context(), acct(t, alice))
				if err != nil {
					t.Fatal(err)
				}
				s := serve(t, p.proxy(t))
				path := "/v1/refusals/" + refusal.Name
				r := s.send(t, s.request(t, method, path, strings.NewReader("payment"), "X-Cid", "cid"))
				if refusal.Kind == passporttest.KindToken {
					wantProblem(t, r, http.StatusBadGateway, "token-refused")
					return
				}
				direct := s.request(t, method, path, strings.NewReader("payment"), "X-Cid", "cid", "Authorization", "Bearer "+token.Reveal())
				direct.URL.Host = p.Host()
				want := s.send(t, direct)
				check(t, "status", r.status, want.status)
				check(t, "body", r.body, want.body)
				r.header.Del("Date")
				want.header.Del("Date")
				if !maps.EqualFunc(r.header, want.header, slices.Equal) {
					t.Errorf("header: got %v, want %v", r.header, want.header)
				}
			})
		}
	}
}

func TestNewProxy_PassesCompressedAnswer(t *testing.T) {
	for _, body := range []string{
		`{"code":"EUPI0120","message":"Transfer amount is greater than the account available limits"}`,
		`{"code":"unknown","message":"` + strings.Repeat("long ", 40_000) + `"}`,
	} {
		p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Www-Authenticate"] = []string{`Basic realm="one"`, `Digest realm="two"`}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusUnauthorized)
			zipped := gzip.NewWriter(w)
			_, _ = io.WriteString(zipped, body)
			_ = zipped.Close()
		})
		r := serve(t, p.proxy(t)).post(t, "/", "payment", "Accept-Encoding", "gzip")
		check(t, "status", r.status, http.StatusUnauthorized)
		check(t, "challenges", strings.Join(r.header["Www-Authenticate"], " "), `Basic realm="one" Digest realm="two"`)
		unzipped, err := gzip.NewReader(strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(unzipped)
		check(t, "body", string(got), body)
		check(t, "error", err, nil)
		check(t, "tokens issued for it", p.Counts().Issued <= 2, true)
	}
}

func TestNewProxy_ReplacesRevokedToken(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t))
	for i := range 3 {
		check(t, "status", s.post(t, "/v1/payments", "payment").status, http.StatusCreated)
		check(t, "status", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
		p.RevokeAll()
		check(t, "tokens issued", p.Counts().Issued, i+1)
	}
	made := 0
	for _, d := range p.Deliveries() {
		if d.Status == http.StatusCreated {
			made++
		}
	}
	check(t, "payments made", made, 3)
}

// The client has no part in the proxy's token, and cannot replace it.
func TestNewProxy_Hides401OfItsOwnToken(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(p *fakePlatform)
		request func(s *service) *http.Request
	}{
		"the renewal fails": {
			func(p *fakePlatform) { p.RevokeAll(); p.FailAlways(passporttest.Status(500)) },
			func(s *service) *http.Request { return s.request(t, http.MethodGet, "/v1/accounts/"+alice, nil) },
		},
		"the renewal fails for a payment": {
			func(p *fakePlatform) { p.RevokeAll(); p.FailAlways(passporttest.Status(401)) },
			func(s *service) *http.Request {
				return s.request(t, http.MethodPost, "/v1/payments", strings.NewReader("payment"))
			},
		},
		"the replay is refused as well": {
			func(*fakePlatform) {},
			func(s *service) *http.Request { return s.request(t, http.MethodGet, "/v1/refusals/message", nil) },
		},
		"the body cannot be sent again": {
			func(p *fakePlatform) { p.RevokeAll() },
			func(s *service) *http.Request {
				return s.request(t, http.MethodPost, "/v1/uploads", struct{ io.Reader }{strings.NewReader("payment")})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{TokenRefusal: passporttest.Refusal{Header: http.Header{
				"Www-Authenticate": {`Bearer error="invalid_token"`}, "Set-Cookie": {"platform=1"},
			}}})
			s := serve(t, p.proxy(t))
			check(t, "status before", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
			test.prepare(p)
			r := s.send(t, test.request(s))
			wantProblem(t, r, http.StatusBadGateway, "token-refused")
			for _, name := range []string{"WWW-Authenticate", "Set-Cookie", "X-Cid"} {
				check(t, name, r.header.Get(name), "")
			}
			p.Heal()
		})
	}
}

func TestNewProxy_Hides401OfSpentBudget(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t))
	for range 20 {
		wantProblem(t, s.get(t, "/v1/refusals/message"), http.StatusBadGateway, "token-refused")
		wantProblem(t, s.post(t, "/v1/refusals/message", "payment"), http.StatusBadGateway, "token-refused")
		check(t, "status elsewhere", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
	}
	check(t, "tokens issued", p.Counts().Issued, 4)
}

func TestNewProxy_RefusedStreamRenewsToken(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t))
	check(t, "status before", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
	revoked := p.revoke(t)
	stream := struct{ io.Reader }{strings.NewReader("payment")}
	wantProblem(t, s.send(t, s.request(t, http.MethodPost, "/v1/uploads", stream)), http.StatusBadGateway, "token-refused")
	p.awaitSuccessor(t, revoked) // The renewal runs in the background.
	refused := p.Counts().TotalRefused()
	check(t, "status after", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
	check(t, "requests refused after", p.Counts().TotalRefused(), refused)
}

func TestNewProxy_UnreachableUpstreamIs502(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	server := httptest.NewServer(nil)
	down := server.Listener.Addr().String()
	server.Close()
	rt := newTransport(t, transport.Config{Source: p.source, Hosts: []string{down}})
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Transport, c.Target = rt, parseURL(t, "http://"+down) }))
	wantProblem(t, s.get(t, "/"), http.StatusBadGateway, "upstream-unreachable")
	r := s.post(t, "/", "payment")
	wantProblem(t, r, http.StatusBadGateway, "upstream-unreachable")
	check(t, "the upstream's address in the answer", strings.Contains(fmt.Sprint(r), down), false)
}

func TestNewProxy_HangUpIs502AfterOneDelivery(t *testing.T) {
	var delivered atomic.Int32
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		delivered.Add(1)
		panic(http.ErrAbortHandler)
	})
	s := serve(t, p.proxy(t))
	wantProblem(t, s.post(t, "/", "payment", "Idempotency-Key", "one"), http.StatusBadGateway, "upstream-unreachable")
	check(t, "deliveries", delivered.Load(), 1)
}

// Each case runs in a bubble. On a slow machine, connecting to a real upstream
// could exceed the time limit.
func TestNewProxy_SlowUpstreamIs504(t *testing.T) {
	for name, test := range map[string]struct {
		deadline, patience time.Duration // of the request, and of the base
	}{
		"for the deadline of the request": {time.Minute, 0},
		"for the base":                    {time.Hour, time.Minute},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+"/"+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					base := transport.NewBase()
					base.ResponseHeaderTimeout = test.patience
					base.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
						ours, theirs := net.Pipe()
						go func() { _, _ = io.Copy(io.Discard, theirs) }() // The upstream reads, and never answers.
						return ours, nil
					}
					proxy, _ := proxyOver(t, base.RoundTrip)
					ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
					defer cancel()
					r := inbound(t).WithContext(ctx)
					r.Method, r.ContentLength, r.Body = method, 7, io.NopCloser(strings.NewReader("payment"))
					begin := time.Now()
					wantProblem(t, call(proxy, r), http.StatusGatewayTimeout, "upstream-timeout")
					check(t, "answered after", time.Since(begin), time.Minute)
					base.CloseIdleConnections()
				})
			})
		}
	}
}

func TestNewProxy_PassesRedirect(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
	})
	r := serve(t, p.proxy(t)).post(t, "/", "payment")
	check(t, "status", r.status, http.StatusTemporaryRedirect)
	check(t, "Location", r.header.Get("Location"), "https://elsewhere.example/")
}

func TestNewProxy_ErrorHandlerGetsTypedError(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	errs := make(chan error, 1)
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) {
		c.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			errs <- err
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	if r := s.get(t, "/v1/refusals/message"); r.status != http.StatusTeapot {
		t.Fatalf("got status %d, want 418", r.status)
	}
	check(t, "error", await(t, errs), middleware.ErrTokenRefused)
	check(t, "type of the error", middleware.ErrTokenRefused.(interface{ ErrorType() string }).ErrorType(), "token_refused")
}

func TestNewProxy_ReadsPathOfRouter(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	mux := http.NewServeMux()
	mux.Handle("/v1/accounts/{accountID}", p.proxy(t, func(c *middleware.ProxyConfig) { c.Account = middleware.FromPath("accountID") }))
	s := serve(t, mux)
	for _, id := range []string{alice, bob} {
		check(t, "body", s.get(t, "/v1/accounts/"+id).body, `{"account_id":`+id+`,"status":"NORMAL"}`)
	}
	wantProblem(t, s.get(t, "/v1/accounts/0"+alice), http.StatusForbidden, "account-forbidden")
}
