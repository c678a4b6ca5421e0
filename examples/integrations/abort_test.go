// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// mounts put a handler into a router, together with common middleware.
var mounts = map[string]func(handler http.Handler) http.Handler{
	"gin.Default": func(handler http.Handler) http.Handler {
		router := gin.Default()
		router.Any("/*path", gin.WrapH(handler))
		return router
	},
	"gin with its own recovery": func(handler http.Handler) http.Handler {
		router := gin.New()
		router.Use(gin.CustomRecovery(func(c *gin.Context, _ any) { c.Abort() }))
		router.Any("/*path", gin.WrapH(handler))
		return router
	},
	"gin with abortAgain": func(handler http.Handler) http.Handler {
		router := gin.New()
		router.Use(abortAgain, gin.Recovery())
		router.Any("/*path", gin.WrapH(handler))
		return router
	},
	"gin with a body logger": func(handler http.Handler) http.Handler {
		router := gin.Default()
		router.Use(logBodies)
		router.Any("/*path", gin.WrapH(handler))
		return router
	},
	"gin with a body logger and abortAgain": func(handler http.Handler) http.Handler {
		router := gin.New()
		router.Use(abortAgain, gin.Recovery(), logBodies)
		router.Any("/*path", gin.WrapH(handler))
		return router
	},
	"chi": func(handler http.Handler) http.Handler {
		router := chi.NewRouter()
		router.Use(chimiddleware.Recoverer, chimiddleware.Logger)
		router.Mount("/", handler)
		return router
	},
	"echo": func(handler http.Handler) http.Handler {
		router := echo.New()
		router.Use(echomiddleware.Recover())
		router.Any("/*", echo.WrapHandler(handler))
		return router
	},
	"gorilla/mux": func(handler http.Handler) http.Handler {
		router := mux.NewRouter()
		router.PathPrefix("/").Handler(handler)
		return router
	},
}

// logBodies logs answers as programs with gin do: its ResponseWriter keeps a
// copy and has no Unwrap.
func logBodies(c *gin.Context) {
	c.Writer = &copyingWriter{ResponseWriter: c.Writer}
	c.Next()
}

type copyingWriter struct {
	gin.ResponseWriter
	body bytes.Buffer
}

func (w *copyingWriter) Write(b []byte) (int, error) {
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

// protocols start a server, and return a client for it.
var protocols = map[string]func(t *testing.T, handler http.Handler, base context.Context) (client *http.Client, url string){
	"HTTP/1.1": func(t *testing.T, handler http.Handler, base context.Context) (*http.Client, string) {
		return start(t, handler, base, false)
	},
	"HTTP/2": func(t *testing.T, handler http.Handler, base context.Context) (*http.Client, string) {
		return start(t, handler, base, true)
	},
}

func start(t *testing.T, handler http.Handler, base context.Context, http2 bool) (client *http.Client, url string) { //nolint:revive // The context is of the server, not of the call.
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.BaseContext = func(net.Listener) context.Context { return base }
	server.EnableHTTP2 = http2
	if http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Client(), server.URL
}

// No router may answer 200 for a payment that was not sent. The issuance fails
// while the client waits, and the client must get an error or a 503.
func TestRouters_UnsentPaymentIsNoSuccess(t *testing.T) {
	for name, mount := range mounts {
		for protocol, start := range protocols {
			for kind, inside := range map[string]func(t *testing.T, pismo *passporttest.Server) http.Handler{
				"NewProxy": func(t *testing.T, pismo *passporttest.Server) http.Handler {
					proxy, _ := newProxy(t, pismo, forAliceAlways(t))
					return proxy
				},
				"Wrap": func(t *testing.T, pismo *passporttest.Server) http.Handler {
					wrapper := must(middleware.New(middleware.Config{Source: newSource(t, pismo), Account: forAliceAlways(t)}))(t)
					return wrapper.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was passed on") }))
				},
			} {
				t.Run(name+"/"+protocol+"/"+kind, func(t *testing.T) {
					pismo := passporttest.NewServer(t, passporttest.Config{})
					pismo.FailAlways(passporttest.Hang())
					ctx, shutdown := context.WithCancel(t.Context())
					defer shutdown()
					client, url := start(t, mount(inside(t, pismo)), ctx)
					answered := make(chan string, 1)
					req := newRequest(t.Context(), t, http.MethodPost, url+"/v1/payments", "payment")
					go func() {
						resp, err := client.Do(req)
						if err != nil {
							answered <- "an error"
							return
						}
						_ = resp.Body.Close()
						answered <- resp.Status
					}()
					if err := pismo.Await(t.Context(), func(c passporttest.Counts) bool { return c.TokenRequests > 0 }); err != nil {
						t.Fatal(err)
					}
					shutdown()
					if got := <-answered; got != "an error" && got != "503 Service Unavailable" {
						t.Errorf("the client got %s", got)
					}
					check(t, "payments made", pismo.Counts().ResourceRequests, 0)
				})
			}
		}
	}
}

// Half of an answer must not look complete.
func TestRouters_BrokenAnswerStaysBroken(t *testing.T) {
	for name, mount := range mounts {
		for protocol, start := range protocols {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, `{"half":`)
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				})})
				proxy, _ := newProxy(t, pismo, forAliceAlways(t))
				client, url := start(t, mount(proxy), t.Context())
				resp, err := client.Do(newRequest(t.Context(), t, http.MethodGet, url+"/v1/statements", ""))
				if err != nil {
					return // The answer broke off before its header was complete.
				}
				defer func() { _ = resp.Body.Close() }()
				if body, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("the client got a complete answer: %d %q", resp.StatusCode, body)
				}
			})
		}
	}
}

// Upgrades pass through the routers. If a router prevents an upgrade, the
// client gets an error and the platform's connection is closed.
func TestRouters_UpgradeOrSayWhyNot(t *testing.T) {
	for name, test := range map[string]struct {
		mount func(http.Handler) http.Handler
		want  int
	}{
		"gin":                            {mounts["gin.Default"], http.StatusSwitchingProtocols},
		"gin with a body logger":         {mounts["gin with a body logger"], http.StatusSwitchingProtocols},
		"echo":                           {mounts["echo"], http.StatusSwitchingProtocols},
		"chi":                            {mounts["chi"], http.StatusSwitchingProtocols},
		"gorilla/mux":                    {mounts["gorilla/mux"], http.StatusSwitchingProtocols},
		"gin below a TimeoutHandler":     {beneathTimeoutHandler("gin.Default"), http.StatusNotImplemented},
		"echo below a TimeoutHandler":    {beneathTimeoutHandler("echo"), http.StatusNotImplemented},
		"chi below a TimeoutHandler":     {beneathTimeoutHandler("chi"), http.StatusNotImplemented},
		"gorilla below a TimeoutHandler": {beneathTimeoutHandler("gorilla/mux"), http.StatusNotImplemented},
		"gin with a body logger below a TimeoutHandler": {beneathTimeoutHandler("gin with a body logger"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			open := make(chan struct{}, 1)
			pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, buffered, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_, _ = io.Copy(io.Discard, buffered) // Until the other side closes.
				_ = conn.Close()
				open <- struct{}{}
			})})
			proxy, _ := newProxy(t, pismo, forAliceAlways(t))
			url := serve(t, test.mount(proxy))
			conn := must(new(net.Dialer).DialContext(t.Context(), "tcp", must(parseURL(url))(t).Host))(t)
			_, _ = fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: program\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			got := 0
			if err == nil {
				got = resp.StatusCode
			}
			if test.want != 0 {
				check(t, "status", got, test.want)
			} else {
				check(t, "switched", got == http.StatusSwitchingProtocols, false)
			}
			_ = conn.Close()
			if pismo.Counts().ResourceRequests > 0 {
				select {
				case <-open:
				case <-time.After(10 * time.Second):
					t.Error("the platform's connection stays open")
				}
			}
		})
	}
}

// The Flush of gin and echo panics above a writer that cannot flush. The proxy
// flushes an answer without a length.
func TestRouters_StreamBeneathTimeoutHandler(t *testing.T) {
	for name := range mounts {
		pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, " and whole")
		})})
		proxy, _ := newProxy(t, pismo, forAliceAlways(t))
		status, body := get(t, serve(t, beneathTimeoutHandler(name)(proxy))+"/v1/statements")
		check(t, name+": status", status, http.StatusOK)
		check(t, name+": body", body, "half and whole")
	}
}

// An informational response before a refusal must not turn the refusal into a
// success. Clients request such a response with Expect, and CDNs send some
// unasked.
func TestRouters_InformationHidesNoRefusal(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") == "" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.Copy(io.Discard, r.Body) // Sends the 100 if the client requested it.
		w.WriteHeader(http.StatusPaymentRequired)
	})})
	for name, mount := range mounts {
		for protocol, start := range protocols {
			for below, handler := range map[string]func(http.Handler) http.Handler{
				"": mount, ", below a TimeoutHandler": beneathTimeoutHandler(name),
			} {
				for _, expect := range []string{"", "100-continue"} {
					proxy, _ := newProxy(t, pismo, forAliceAlways(t))
					client, url := start(t, handler(proxy), t.Context())
					req := newRequest(t.Context(), t, http.MethodPost, url+"/v1/payments", "payment")
					req.Header.Set("Expect", expect)
					resp := must(client.Do(req))(t)
					_ = read(t, resp)
					check(t, name+" over "+protocol+below+": status after "+expect, resp.StatusCode, http.StatusPaymentRequired)
				}
			}
		}
	}
}

func beneathTimeoutHandler(name string) func(http.Handler) http.Handler {
	return func(handler http.Handler) http.Handler {
		return http.TimeoutHandler(mounts[name](handler), time.Minute, "")
	}
}
