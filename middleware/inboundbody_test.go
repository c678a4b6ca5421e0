// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// An error while the client's body is read is the client's failure. It must not
// look like a failure of the platform.
func TestNewProxy_UnreadableBodyIsClientError(t *testing.T) {
	for _, path := range []string{"/v1/payments", "/v1/uploads"} {
		p := newPlatform(t, passporttest.Config{})
		proxy := p.proxy(t)
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 100*KiB)
			proxy.ServeHTTP(w, r)
		}))
		for name, test := range map[string]struct {
			send   string
			status int
			name   string
		}{
			"an invalid chunk":    {"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzzz\r\n", http.StatusBadRequest, "body-unreadable"},
			"too large":           {"Content-Length: 200000\r\n\r\n" + strings.Repeat("x", 200_000), http.StatusRequestEntityTooLarge, "body-too-large"},
			"too large in chunks": {"Transfer-Encoding: chunked\r\n\r\n30d40\r\n" + strings.Repeat("x", 200_000) + "\r\n0\r\n\r\n", http.StatusRequestEntityTooLarge, "body-too-large"},
		} {
			t.Run(path+"/"+name, func(t *testing.T) {
				_, in := s.dial(t, "POST "+path+" HTTP/1.1\r\nHost: proxy\r\n"+test.send)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				check(t, "error", err, nil)
				wantProblem(t, reply{status: resp.StatusCode, header: resp.Header, body: string(body)}, test.status, test.name)
			})
		}
		for _, d := range p.Deliveries() {
			t.Errorf("a partial body counts as complete: %+v", d)
		}
	}
}

// withReadTimeout sets a short time limit for a client's body.
func withReadTimeout(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		handler.ServeHTTP(w, r)
	})
}

// net/http cancels the context of a client that is too slow. That client still
// reads the answer, which must not be a success.
func TestNewProxy_SlowClientGetsNoSuccess(t *testing.T) {
	for name, send := range map[string]string{
		"a short body":     "Content-Length: 10\r\n\r\nhello",
		"a long body":      "Content-Length: 1000000\r\n\r\nhello",
		"a body in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"none of a body":   "Content-Length: 10\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{})
			s := serve(t, withReadTimeout(p.proxy(t)))
			_, in := s.dial(t, "POST /v1/payments HTTP/1.1\r\nHost: proxy\r\n"+send)
			if resp, err := http.ReadResponse(in, nil); err == nil {
				check(t, "status", resp.StatusCode, http.StatusRequestTimeout)
			}
			check(t, "payments made", len(p.Deliveries()), 0)
		})
	}
}

func TestNewProxy_SlowHTTP2ClientGets408(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := &service{Server: httptest.NewUnstartedServer(withReadTimeout(p.proxy(t)))}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	body, upload := io.Pipe()
	defer upload.Close()
	wantProblem(t, s.send(t, s.request(t, http.MethodPost, "/v1/uploads", body)), http.StatusRequestTimeout, "body-timeout")
	check(t, "uploads", len(p.Deliveries()), 0)
}

// A client leaves in the middle of its body. The payment must not be executed.
func TestNewProxy_PartialBodyIsNotDelivered(t *testing.T) {
	for name, send := range map[string]string{
		"a short body":     "Content-Length: 10\r\n\r\nhello",
		"a long body":      "Content-Length: 1000000\r\n\r\nhello",
		"a body in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{})
			proxy := newTrackedHandler(p.proxy(t))
			s := serve(t, proxy)
			conn, in := s.dial(t, "POST /v1/payments HTTP/1.1\r\nHost: proxy\r\n"+send)
			if err := p.Await(t.Context(), func(c passporttest.Counts) bool { return c.Issued > 0 }); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_, err := in.ReadByte()
			check(t, "an answer", err, io.EOF)
			check(t, "how the handler ended", await(t, proxy.ended), any(http.ErrAbortHandler))
			check(t, "payments made", len(p.Deliveries()), 0)
		})
	}
}
