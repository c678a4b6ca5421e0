// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
)

// upgradingPlatform returns a platform that always switches protocols. It
// reports when the other side closes the connection.
func upgradingPlatform(t *testing.T, head string) (*fakePlatform, <-chan struct{}) {
	t.Helper()
	closed := make(chan struct{}, 100)
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+head+"\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // Copy returns when the connection is closed.
		closed <- struct{}{}
	})
	return p, closed
}

const echo = "Connection: Upgrade\r\nUpgrade: echo"

// A hijacking is a ResponseWriter with its own Hijack.
type hijacking struct {
	http.ResponseWriter
	hijack func() (net.Conn, *bufio.ReadWriter, error)
}

func (h hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.hijack() }

// throughWriter wraps the ResponseWriter of each request.
func throughWriter(next http.Handler, wrap func(http.ResponseWriter) http.ResponseWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrap(w), r) })
}

// An upgraded connection without a user would stay open. In the end, no
// connection would be left.
func TestNewProxy_ClosesConnectionsUpgradedInVain(t *testing.T) {
	for name, test := range map[string]struct {
		head    string // the head of the platform's answer
		upgrade string // the client's Upgrade; "" means none
		around  func(http.Handler) http.Handler
		status  int
		problem string
		reached bool // whether the request reaches the platform
		logged  string
	}{
		"a timeout handler": {
			echo, "echo",
			func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") },
			http.StatusNotImplemented, "upgrade-unsupported", false, "*http.timeoutWriter",
		},
		"a wrapper that hides Hijack": {
			echo, "echo",
			func(next http.Handler) http.Handler {
				return throughWriter(next, func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} })
			},
			http.StatusNotImplemented, "upgrade-unsupported", false, "struct { http.ResponseWriter }",
		},
		"a framework around that wrapper": {
			echo, "echo",
			func(next http.Handler) http.Handler { return http.TimeoutHandler(withRecovery(next), time.Minute, "") },
			http.StatusNotImplemented, "upgrade-unsupported", false, "*middleware_test.lateWriter",
		},
		"a Hijack that is not supported": {
			echo, "echo",
			func(next http.Handler) http.Handler {
				return throughWriter(next, func(w http.ResponseWriter) http.ResponseWriter {
					return hijacking{w, func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }}
				})
			},
			http.StatusNotImplemented, "upgrade-unsupported", true, "middleware_test.hijacking",
		},
		"a Hijack that fails": {
			echo, "echo",
			func(next http.Handler) http.Handler {
				return throughWriter(next, func(w http.ResponseWriter) http.ResponseWriter {
					return hijacking{w, func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("error of the writer") }}
				})
			},
			http.StatusNotImplemented, "upgrade-unsupported", true, "middleware_test.hijacking",
		},
		"a protocol that was not requested": {
			"Connection: Upgrade\r\nUpgrade: other", "echo", nil,
			http.StatusBadGateway, "upstream-invalid", true, "upstream_invalid",
		},
		"no protocol": {
			"Connection: close", "echo", nil,
			http.StatusBadGateway, "upstream-invalid", true, "upstream_invalid",
		},
		"an invalid protocol": {
			"Connection: Upgrade\r\nUpgrade: caf\u00e9", "echo", nil,
			http.StatusBadGateway, "upstream-invalid", true, "upstream_invalid",
		},
		"no upgrade was requested": {
			echo, "", nil,
			http.StatusBadGateway, "upstream-invalid", true, "upstream_invalid",
		},
		"a tunnel was requested": {
			"Connection: Upgrade\r\nUpgrade: h2c", "h2c", nil,
			http.StatusBadGateway, "upstream-invalid", true, "upstream_invalid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, closed := upgradingPlatform(t, test.head)
			logger, logged := newLogger()
			handler := p.proxy(t, func(c *middleware.ProxyConfig) { c.Logger = logger })
			if test.around != nil {
				handler = test.around(handler)
			}
			s := serve(t, handler)
			var header []string
			if test.upgrade != "" {
				header = []string{"Connection", "Upgrade", "Upgrade", test.upgrade}
			}
			for range 20 {
				r := s.get(t, "/", header...)
				wantProblem(t, r, test.status, test.problem)
				if test.reached {
					await(t, closed)
				}
			}
			if !test.reached {
				check(t, "requests to the platform", p.Counts().ResourceRequests, 0)
			}
			lines := logged.lines()
			check(t, "lines logged", len(lines), 1)
			check(t, "the log names the fault", strings.Contains(logged.String(), test.logged), true)
		})
	}
}

// The Hijack of gin's writer panics if the writer below has no Hijack.
func TestNewProxy_ClosesConnectionIfHijackPanics(t *testing.T) {
	p, closed := upgradingPlatform(t, echo)
	s := serve(t, withRecovery(throughWriter(p.proxy(t), func(w http.ResponseWriter) http.ResponseWriter {
		return hijacking{w, func() (net.Conn, *bufio.ReadWriter, error) { panic("panic of the writer") }}
	})))
	for range 3 {
		_, _ = s.try(s.request(t, http.MethodGet, "/", nil, "Connection", "Upgrade", "Upgrade", "echo"))
		await(t, closed)
	}
}

// A client may leave while its connection is hijacked. The proxy must not write
// to that connection afterwards: the server would log a fault.
func TestNewProxy_WritesNothingAfterHijack(t *testing.T) {
	p, closed := upgradingPlatform(t, echo)
	logger, logged := newLogger()
	proxy := p.proxy(t, func(c *middleware.ProxyConfig) { c.Logger = logger })
	r := inbound(t, "Connection", "Upgrade", "Upgrade", "echo")
	w := httptest.NewRecorder()
	proxy.ServeHTTP(hijacking{w, func() (net.Conn, *bufio.ReadWriter, error) {
		ours, theirs := net.Pipe()
		_ = theirs.Close()
		return ours, bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours)), nil
	}}, r)
	await(t, closed)
	check(t, "the proxy wrote a response", w.Flushed || w.Body.Len() > 0 || len(w.Result().Header) > 2, false)
	check(t, "log", logged.String(), "")
}

// A wrapper with an Unwrap method does not prevent an upgrade.
func TestNewProxy_UpgradesThroughWrappers(t *testing.T) {
	for name, around := range map[string]func(http.Handler) http.Handler{
		"with Hijack": withRecovery,
		"with Unwrap": func(next http.Handler) http.Handler {
			return throughWriter(next, func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{w} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, both, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+echo+"\r\n\r\n")
				_, _ = io.Copy(conn, both)
			})
			s := serve(t, around(p.proxy(t)))
			conn, in := s.dial(t, "GET / HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "status", resp.StatusCode, http.StatusSwitchingProtocols)
			_, _ = io.WriteString(conn, "line\n")
			line, err := in.ReadString('\n')
			check(t, "echo", line, "line\n")
			check(t, "error", err, nil)
			_ = conn.Close()
		})
	}
}

type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestNewProxy_PassesUpgrade(t *testing.T) {
	closed := make(chan struct{})
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(closed)
		check(t, "Upgrade", r.Header.Get("Upgrade"), "echo")
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
		_, _ = io.Copy(conn, both)
	})
	s := serve(t, p.proxy(t))
	conn, in := s.dial(t, "GET / HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer theirs\r\nConnection: Upgrade, Authorization\r\nUpgrade: echo\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", resp.StatusCode, http.StatusSwitchingProtocols)
	for _, line := range []string{"hello\n", "one\n", "two\n"} {
		if line != "hello\n" {
			_, _ = io.WriteString(conn, line)
		}
		got, err := in.ReadString('\n')
		check(t, "echo", got, line)
		check(t, "error", err, nil)
	}
	_ = conn.Close()
	await(t, closed) // The platform sees that the client has left.
}

func TestNewProxy_ReplaysRefusedUpgrade(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUpgradeRequired) })
	s := serve(t, p.proxy(t))
	check(t, "status before", s.get(t, "/").status, http.StatusUpgradeRequired)
	p.RevokeAll()
	check(t, "status", s.get(t, "/", "Connection", "Upgrade", "Upgrade", "echo").status, http.StatusUpgradeRequired)
	check(t, "tokens issued", p.Counts().Issued, 2)
}
