// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/pismoauth/pismoauth/transport"
)

// payment returns a request whose body allows any number of attempts.
func payment(tb testing.TB, method string) *http.Request {
	tb.Helper()
	req := newRequest(tb, http.MethodPost, target, strings.NewReader("payment"))
	req.Method = method
	return req
}

func TestPayment_DeliveredOnceOnServerFailure(t *testing.T) {
	hijack := func(w http.ResponseWriter) *net.TCPConn {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		return conn.(*net.TCPConn)
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"500":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"503":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"429":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
		"hang-up": func(w http.ResponseWriter) { _ = hijack(w).Close() },
		"reset": func(w http.ResponseWriter) {
			conn := hijack(w)
			_ = conn.SetLinger(0)
			_ = conn.Close()
		},
		"half an answer": func(w http.ResponseWriter) {
			conn := hijack(w)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 O")
			_ = conn.Close()
		},
		"nonsense": func(w http.ResponseWriter) {
			conn := hijack(w)
			_, _ = io.WriteString(conn, "SSH-2.0-x\r\n\r\n")
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &fakeIssuer{}
			var deliveries atomic.Int32
			server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					return
				}
				deliveries.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w)
			}))
			rt := newTransport(t, m, transport.NewBase(), listing(server))
			for i, body := range []io.Reader{
				strings.NewReader("payment"),
				withoutGetBody(strings.NewReader("payment")),
				nil,
			} {
				get(t, rt, server.URL) // Leaves a kept connection in the pool.
				req := newRequest(t, http.MethodPost, server.URL, body)
				if i == 1 {
					req.ContentLength = int64(len("payment"))
					req.Header.Set("Idempotency-Key", "k") // net/http would resend the request because of this key.
				}
				_, _ = trySend(rt, req)
				if n := deliveries.Swap(0); n != 1 {
					t.Errorf("payment %d was delivered %d times, want once", i, n)
				}
			}
		})
	}
}

func TestPayment_IsSentAgainAfterDialError(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	failures := 2
	base := transport.NewBase()
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if failures--; failures >= 0 {
			address = "127.0.0.1:0" // No server can listen there.
		}
		return dial(ctx, network, address)
	}
	r := post(t, newTransport(t, m, base, listing(server)), server.URL, "payment")
	if r.status != http.StatusOK || r.body != "payment" {
		t.Errorf("got %+v, want 200", r)
	}
}

// The body comes from another request, which fails with an UnsentError while
// the body is being sent.
func TestPayment_NotSentAgainAfterBodyError(t *testing.T) {
	m := &fakeIssuer{}
	var delivered atomic.Int32
	server := newServer(t, m.guard(func(_ http.ResponseWriter, r *http.Request) {
		delivered.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	elsewhere := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("payment"), iotest.ErrReader(opError("dial")))), nil
	}
	body, _ := elsewhere()
	req := newRequest(t, http.MethodPost, server.URL, body)
	req.GetBody = elsewhere
	if _, err := trySend(newTransport(t, m, transport.NewBase(), listing(server)), req); err == nil {
		t.Error("half a payment was sent without an error")
	}
	if n := delivered.Load(); n > 1 {
		t.Errorf("the payment was delivered %d times", n)
	}
}
