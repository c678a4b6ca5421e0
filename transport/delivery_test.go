// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A hangUpServer answers GET. It executes every other request and then closes
// the connection without an answer. It counts the executed requests.
type hangUpServer struct {
	net.Listener
	executed atomic.Int32
	// before is called after a request was executed, before its connection is
	// closed. It may be nil.
	before func()
}

func newHangUpServer(t *testing.T) *hangUpServer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &hangUpServer{Listener: listener}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return f
}

func (f *hangUpServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if req.Method != http.MethodGet {
			f.executed.Add(1)
			if f.before != nil {
				f.before()
			}
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// openConnections leaves n kept connections in the pool.
func (f *hangUpServer) openConnections(t *testing.T, rt http.RoundTripper) {
	t.Helper()
	wantStatus(t, get(t, rt, "http://"+f.Addr().String()), http.StatusOK)
}

// at changes the host of the configuration to the server.
func (f *hangUpServer) at(c *transport.Config) { c.Hosts = []string{f.Addr().String()} }

// bodiesOfPayments are the ways to set or omit the body of a payment.
var bodiesOfPayments = map[string]func(*http.Request){
	"nil":         func(req *http.Request) { req.Body, req.GetBody, req.ContentLength = nil, nil, 0 },
	"NoBody":      func(req *http.Request) { req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0 },
	"with":        func(*http.Request) {},
	"recorded":    func(req *http.Request) { req.GetBody = nil },
	"streamed":    func(req *http.Request) { req.GetBody, req.ContentLength = nil, -1 },
	"own GetBody": func(req *http.Request) { req.Body = io.NopCloser(struct{ io.Reader }{req.Body}) },
}

// net/http treats an idempotency key as permission to resend a request when a
// kept connection breaks. The caller did not give that permission.
func TestPayment_DeliveredOnceWithAnyKey(t *testing.T) {
	for name, body := range bodiesOfPayments {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, "PAY"} {
			for _, key := range []string{"Idempotency-Key", "X-Idempotency-Key", "Idempotency-key", "x-idempotency-key", "Idempotency", "without a value", ""} {
				t.Run(strings.Join([]string{name, method, key}, " "), func(t *testing.T) {
					f := newHangUpServer(t)
					rt := newTransport(t, &fakeIssuer{}, transport.NewBase(), f.at)
					f.openConnections(t, rt)
					req := newRequest(t, method, "http://"+f.Addr().String()+"/pay", strings.NewReader("payment"))
					body(req)
					switch key {
					case "":
					case "without a value": // net/http treats this as a key, too.
						req.Header["Idempotency-Key"] = nil
					default:
						req.Header[key] = []string{"k1"}
					}
					if resp, err := trySend(rt, req); err == nil {
						t.Errorf("got status %d, want an error", resp.status)
					}
					if n := f.executed.Load(); n != 1 {
						t.Errorf("it was executed %d times, want once", n)
					}
				})
			}
		}
	}
}

// A layer below the transport may add the key.
func TestPayment_DeliveredOnceIfBaseSetsKey(t *testing.T) {
	for name, body := range bodiesOfPayments {
		f := newHangUpServer(t)
		base := transport.NewBase()
		rt := newTransport(t, &fakeIssuer{}, roundTripper(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("Idempotency-Key", "k1")
			return base.RoundTrip(req)
		}), f.at)
		t.Cleanup(base.CloseIdleConnections)
		f.openConnections(t, rt)
		req := newRequest(t, http.MethodPost, "http://"+f.Addr().String()+"/pay", strings.NewReader("payment"))
		body(req)
		_, err := trySend(rt, req)
		if n := f.executed.Load(); n != 1 || err == nil {
			t.Errorf("%s: it was executed %d times with error %v, want once with an error", name, n, err)
		}
	}
}

// net/http's second attempt failed with a dial error. The transport took the
// dial error for proof that nothing was delivered, and sent the payment again.
func TestPayment_DeliveredOnceThroughARestart(t *testing.T) {
	for name, body := range bodiesOfPayments {
		f := newHangUpServer(t)
		f.before = func() { _ = f.Close() } // The server stops.
		base := transport.NewBase()
		var refused atomic.Int32
		dial := base.DialContext
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				refused.Add(1)
			}
			return conn, err
		}
		rt := newTransport(t, &fakeIssuer{}, base, f.at)
		f.openConnections(t, rt)
		req := newRequest(t, http.MethodPost, "http://"+f.Addr().String()+"/pay", strings.NewReader("payment"))
		req.Header.Set("Idempotency-Key", "k1")
		body(req)
		_, err := trySend(rt, req)
		if n := f.executed.Load(); n != 1 || err == nil {
			t.Errorf("%s: it was executed %d times with error %v, want once with an error", name, n, err)
		}
		if n := refused.Load(); n > 1 {
			t.Errorf("%s: it was tried %d more times", name, n-1)
		}
	}
}

// net/http also resends a request that may be executed twice.
func TestAllowRetry_SendsKeyedPaymentAgain(t *testing.T) {
	f := newHangUpServer(t)
	rt := newTransport(t, &fakeIssuer{}, transport.NewBase(), f.at)
	f.openConnections(t, rt)
	req := newRequest(t, http.MethodPost, "http://"+f.Addr().String()+"/pay", strings.NewReader("payment"))
	req.Header.Set("Idempotency-Key", "k1")
	_, _ = trySend(rt, req.WithContext(transport.AllowRetry(t.Context())))
	if n := f.executed.Load(); n < 2 {
		t.Errorf("it was executed %d times", n)
	}
}

// A brokenConn writes nothing after it is broken.
type brokenConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c brokenConn) Write(b []byte) (int, error) {
	if c.broken.CompareAndSwap(true, false) {
		_ = c.Close()
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return c.Conn.Write(b)
}

// No byte goes out on a kept connection that a firewall has reset. net/http
// then sends the request on another connection, and this package must not
// prevent that.
func TestPayment_UnwrittenIsSentAgain(t *testing.T) {
	for name, body := range bodiesOfPayments {
		if name == "streamed" {
			continue // The request cannot be sent again.
		}
		m := &fakeIssuer{}
		var executed atomic.Int32
		server := newServer(t, m.guard(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				executed.Add(1)
			}
		}))
		var broken atomic.Bool
		base := transport.NewBase()
		dial := base.DialContext
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return brokenConn{conn, &broken}, err
		}
		rt := newTransport(t, m, base, listing(server))
		get(t, rt, server.URL)
		broken.Store(true)
		req := newRequest(t, http.MethodPost, server.URL, strings.NewReader("payment"))
		body(req)
		r, err := trySend(rt, req)
		if err != nil || r.status != http.StatusOK || executed.Load() != 1 || broken.Load() {
			t.Errorf("%s: got status %d with error %v, executed %d times, want 200 after one", name, r.status, err, executed.Load())
		}
	}
}

// A length without a body is a mistake of the program: it has read the body or
// has forgotten it. net/http would send an empty payment over HTTP/2, and also
// for NoBody.
func TestRoundTrip_RefusesLengthWithoutBody(t *testing.T) {
	for _, test := range []struct {
		body   io.ReadCloser
		length int64
	}{{nil, 7}, {nil, -1}, {http.NoBody, 7}} {
		m, w := &fakeIssuer{}, &fakeBase{}
		req := newRequest(t, http.MethodPost, target, nil)
		req.Body, req.ContentLength = test.body, test.length
		_, err := newTransport(t, m, w).RoundTrip(req)
		wantUnsent(t, err, transport.ErrBodyMissing)
		wantSent(t, w, 0)
		wantIssued(t, m, 0)
	}
}

// An outer layer must not retry a request that the transport refused to send.
func TestUnsent_IsPermanent(t *testing.T) {
	_, err := newTransport(t, &fakeIssuer{}, &fakeBase{}).RoundTrip(newRequest(t, http.MethodGet, "https://evil.example", nil))
	if !tokensource.IsPermanent(err) {
		t.Errorf("%v is not permanent", err)
	}
}
