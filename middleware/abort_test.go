// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// serveHTTP2 is like serve, over HTTP/2.
func serveHTTP2(t *testing.T, handler http.Handler, edits ...func(*http.Server)) *service {
	t.Helper()
	s := &service{Server: httptest.NewUnstartedServer(handler), log: new(recorder)}
	for _, edit := range edits {
		edit(s.Config)
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// startByProtocol maps each protocol to a function that starts a service.
var startByProtocol = map[string]func(*testing.T, http.Handler, ...func(*http.Server)) *service{
	"HTTP/1.1": func(t *testing.T, handler http.Handler, edits ...func(*http.Server)) *service {
		return serve(t, handler, edits...)
	},
	"HTTP/2": serveHTTP2,
}

// endedContexts are the ways to end a request's context while its client waits.
var endedContexts = map[string]struct {
	prepare func(p *fakePlatform)
	handler func(t *testing.T, p *fakePlatform) http.Handler
	reached func(c passporttest.Counts) bool
}{
	"wrapped, without a token": {
		func(p *fakePlatform) { p.FailAlways(passporttest.Hang()) },
		func(t *testing.T, p *fakePlatform) http.Handler {
			return p.wrap(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was passed on") })
		},
		func(c passporttest.Counts) bool { return c.TokenRequests > 0 },
	},
	"proxied, without a token": {
		func(p *fakePlatform) { p.FailAlways(passporttest.Hang()) },
		func(t *testing.T, p *fakePlatform) http.Handler { return p.proxy(t) },
		func(c passporttest.Counts) bool { return c.TokenRequests > 0 },
	},
	"proxied, without an answer": {
		func(*fakePlatform) {},
		func(t *testing.T, p *fakePlatform) http.Handler { return p.proxy(t) },
		func(c passporttest.Counts) bool { return c.ResourceRequests > 0 },
	},
}

// A client must not get an empty 200: it would take that for an executed
// payment. The proxy behaves the same with and without a handler that recovers
// its panic.
func TestAbort_WaitingClientGetsNoSuccess(t *testing.T) {
	for name, test := range endedContexts {
		for protocol, start := range startByProtocol {
			for around, wrap := range map[string]func(http.Handler) http.Handler{
				"bare":       func(next http.Handler) http.Handler { return next },
				"recovering": withRecovery,
			} {
				t.Run(name+"/"+protocol+"/"+around, func(t *testing.T) {
					p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						<-r.Context().Done()
					})
					test.prepare(p)
					ctx, shutdown := context.WithCancel(t.Context())
					defer shutdown()
					s := start(t, wrap(test.handler(t, p)), func(server *http.Server) {
						server.BaseContext = func(net.Listener) context.Context { return ctx }
					})
					req := s.request(t, http.MethodPost, "/v1/payments", strings.NewReader("payment"))
					type result struct {
						reply
						err error
					}
					answered := make(chan result, 1)
					go func() {
						r, err := s.try(req)
						answered <- result{r, err}
					}()
					if err := p.Await(t.Context(), test.reached); err != nil {
						t.Fatal(err)
					}
					shutdown()
					got := await(t, answered)
					if around == "bare" {
						check(t, "an error, and no answer", got.err != nil, true)
						return
					}
					check(t, "error", got.err, nil)
					check(t, "status", got.status, http.StatusServiceUnavailable)
					check(t, "Retry-After", got.header.Get("Retry-After"), "") // The request may have been executed.
					check(t, "Cache-Control", got.header.Get("Cache-Control"), "no-store")
					check(t, "body", got.body, "")
				})
			}
		}
	}
}

// A request whose client has left is not logged and does not reach the
// ErrorHandler. Without a net/http server, nothing recovers a panic. A plain
// return would answer 200.
func TestAbort_SetsStatusBeforePanic(t *testing.T) {
	for name, server := range map[string]any{"below a server": new(http.Server), "by itself": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hanging := issuerFunc(func(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
					<-ctx.Done()
					return tokensource.Grant{}, ctx.Err()
				})
				logger, logged := newLogger()
				m := newMiddleware(t, middleware.Config{
					Source:       newSource(t, tokensource.Config{Issuer: hanging}),
					Account:      middleware.FixedAccount(acct(t, alice)),
					ErrorHandler: func(http.ResponseWriter, *http.Request, error) { t.Error("ErrorHandler was called") },
					Logger:       logger,
				})
				ctx, leave := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, leave)
				if server != nil {
					ctx = context.WithValue(ctx, http.ServerContextKey, server)
				}
				w := httptest.NewRecorder()
				defer func() {
					check(t, "aborted", recover() == http.ErrAbortHandler, server != nil)
					check(t, "status", w.Code, http.StatusServiceUnavailable)
					check(t, "length of the body", w.Body.Len(), 0)
					check(t, "log", logged.String(), "")
					synctest.Wait()
					time.Sleep(time.Minute) // The issuance ends by itself.
				}()
				m.Wrap(http.NotFoundHandler()).ServeHTTP(w, inbound(t).WithContext(ctx))
			})
		})
	}
}

// A partial response must not look complete, even if a handler recovers the
// panic.
func TestNewProxy_BrokenResponseStaysBroken(t *testing.T) {
	for length, begin := range map[string]func(http.ResponseWriter){
		"of unknown length": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"half":`)
			_ = http.NewResponseController(w).Flush()
		},
		"of known length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "16")
			_, _ = io.WriteString(w, `{"half":`)
			_ = http.NewResponseController(w).Flush()
		},
		"of unknown length, and long": func(w http.ResponseWriter) {
			_, _ = w.Write(make([]byte, 100_000))
		},
	} {
		for around, handler := range map[string]func(http.Handler) http.Handler{
			"bare":       func(next http.Handler) http.Handler { return next },
			"recovering": withRecovery,
			"recovering, around a logger": func(next http.Handler) http.Handler {
				return withRecovery(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(&loggingWriter{ResponseWriter: w}, r)
				}))
			},
		} {
			t.Run(length+"/"+around, func(t *testing.T) {
				p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
					begin(w)
					panic(http.ErrAbortHandler)
				})
				for _, s := range []*service{serve(t, handler(p.proxy(t))), serveHTTP2(t, handler(p.proxy(t)))} {
					r, err := s.try(s.request(t, http.MethodGet, "/", nil))
					if err == nil {
						t.Errorf("the client got a complete response: %d, %d bytes", r.status, len(r.body))
					}
				}
			})
		}
	}
}

// A handler that ends in the middle of a response must not complete that
// response.
func TestNewProxy_ShutdownBreaksResponse(t *testing.T) {
	const half = `{"half":`
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, half)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for name, start := range startByProtocol {
		t.Run(name, func(t *testing.T) {
			ctx, shutdown := context.WithCancel(t.Context())
			defer shutdown()
			s := start(t, withRecovery(p.proxy(t)), func(server *http.Server) {
				server.BaseContext = func(net.Listener) context.Context { return ctx }
			})
			resp, err := s.Client().Transport.RoundTrip(s.request(t, http.MethodGet, "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, len(half))); err != nil {
				t.Fatal(err)
			}
			shutdown()
			if rest, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("the client got a complete response, with %q at its end", rest)
			}
		})
	}
}

// The proxy's own answers pass through such a framework unchanged.
func TestNewProxy_AnswersBehindRecovery(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	p.FailAlways(passporttest.Status(http.StatusInternalServerError))
	s := serve(t, withRecovery(p.proxy(t)))
	wantProblem(t, s.post(t, "/v1/payments", "payment"), http.StatusBadGateway, "unavailable")
	p.Heal()
	s = serve(t, withRecovery(platformServing(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }).proxy(t)))
	check(t, "body", s.get(t, "/").body, "fine")
}

// echo and http.TimeoutHandler treat an informational response as the final
// response. A refusal must not become a 200.
func TestNewProxy_EarlyHintsHideNoStatus(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(w, "refused")
	})
	for name, test := range map[string]struct {
		around func(http.Handler) http.Handler
		hints  bool
	}{
		"bare": {func(next http.Handler) http.Handler { return next }, true},
		"committing": {func(next http.Handler) http.Handler {
			return throughWriter(next, func(w http.ResponseWriter) http.ResponseWriter { return &committing{ResponseWriter: w} })
		}, true},
		"committing, without Unwrap": {func(next http.Handler) http.Handler {
			return throughWriter(next, func(w http.ResponseWriter) http.ResponseWriter {
				return struct{ http.ResponseWriter }{&committing{ResponseWriter: w}}
			})
		}, false},
		"below a TimeoutHandler": {func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") }, false},
	} {
		for protocol, start := range startByProtocol {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				s := start(t, test.around(p.proxy(t)))
				hints := false
				req := s.request(t, http.MethodPost, "/v1/payments", strings.NewReader("payment"), "Expect", "100-continue")
				req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
					Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
						hints = hints || code == http.StatusEarlyHints
						return nil
					},
				}))
				r, err := s.try(req)
				check(t, "error", err, nil)
				check(t, "status", r.status, http.StatusPaymentRequired)
				check(t, "body", r.body, "refused")
				check(t, "the hints arrived", hints, test.hints)
			})
		}
	}
}

// The Flush of gin and echo panics below an http.TimeoutHandler. The panic
// would become an empty 200, or end the program.
func TestNewProxy_SurvivesPanickingFlush(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "made")
		_ = http.NewResponseController(w).Flush() // The proxy flushes because the length is unknown.
		_, _ = io.WriteString(w, " whole")
	})
	for _, cause := range []any{"error of the writer", http.ErrAbortHandler} {
		s := serve(t, withRecovery(throughWriter(p.proxy(t), func(w http.ResponseWriter) http.ResponseWriter { return panicking{w, cause} })))
		check(t, "body", s.get(t, "/").body, "made whole")
	}
}
