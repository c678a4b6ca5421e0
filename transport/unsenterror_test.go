// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// A faultyRelay relays connections to a server. It breaks the first
// connections.
type faultyRelay struct {
	net.Listener
	spoilt atomic.Int32
}

func newFaultyRelay(t *testing.T, to string, times int32, spoil func(net.Conn)) *faultyRelay {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &faultyRelay{Listener: listener}
	ctx, stop := context.WithCancel(context.Background())
	var relaying sync.WaitGroup
	relaying.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			relaying.Go(func() {
				defer func() { _ = conn.Close() }()
				if g.spoilt.Add(1) <= times {
					spoil(conn)
					return
				}
				relay(conn, to)
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); stop(); relaying.Wait() })
	return g
}

func relay(conn net.Conn, to string) {
	out, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	var copying sync.WaitGroup
	copying.Go(func() { _, _ = io.Copy(out, conn); _ = out.Close() })
	_, _ = io.Copy(conn, out)
	_ = conn.Close()
	copying.Wait()
}

// dialing makes a base dial one address for every host.
func dialing(base *http.Transport, address string) {
	base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// errorWrappers wrap a base as programs do. Each wrapper keeps the evidence
// intact.
var errorWrappers = map[string]func(http.RoundTripper) http.RoundTripper{
	"none": func(base http.RoundTripper) http.RoundTripper { return base },
	"clones and counts the body, as otelhttp": func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(context.WithValue(req.Context(), wrapped{}, true))
			if req.Body != nil && req.Body != http.NoBody {
				req.Body = struct{ io.ReadCloser }{req.Body}
			}
			return base.RoundTrip(req)
		})
	},
	"has its own timeout": func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithTimeout(req.Context(), time.Minute)
			context.AfterFunc(req.Context(), cancel)
			return base.RoundTrip(req.WithContext(ctx))
		})
	},
}

type wrapped struct{}

// No part of a request is sent before TLS is negotiated. Such a payment can be
// sent again.
func TestPayment_IsSentAgainAfterFailedHandshake(t *testing.T) {
	for name, spoil := range map[string]func(net.Conn){
		"hangs":   func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closed":  func(c net.Conn) { _, _ = c.Read(make([]byte, 64)) },
		"reset":   func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"alert":   func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 80}) },
		"garbage": func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _, _ = io.WriteString(c, "SSH-2.0-x\r\n") },
	} {
		for wrapper, wrap := range errorWrappers {
			for body, edit := range bodiesOfPayments {
				if body == "streamed" || body != "with" && body != "recorded" && name != "closed" || wrapper != "none" && (name != "reset" || body != "with") {
					continue // A stream cannot be sent again. The other combinations are sampled.
				}
				t.Run(strings.Join([]string{name, wrapper, body}, ", "), func(t *testing.T) {
					m := &fakeIssuer{}
					var executed atomic.Int32
					server, base := newTLSServer(t, true, m.guard(func(http.ResponseWriter, *http.Request) { executed.Add(1) }))
					g := newFaultyRelay(t, server.Listener.Addr().String(), 2, spoil)
					dialing(base, g.Addr().String())
					base.TLSHandshakeTimeout = 100 * time.Millisecond
					if name != "hangs" {
						base.TLSHandshakeTimeout = time.Minute
					}
					t.Cleanup(base.CloseIdleConnections)
					req := newRequest(t, http.MethodPost, server.URL, strings.NewReader("payment"))
					req.Header.Set("Idempotency-Key", "k1")
					edit(req)
					r, err := trySend(newTransport(t, m, wrap(base), listing(server)), req)
					if err != nil || r.status != http.StatusOK || executed.Load() != 1 {
						t.Errorf("got status %d with error %v, executed %d times; want 200 after one", r.status, err, executed.Load())
					}
				})
			}
		}
	}
}

// A proxy that does not connect has not got the payment.
func TestPayment_IsSentAgainAfterFailedProxy(t *testing.T) {
	connect := func(status string) func(net.Conn) {
		return func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			}
		}
	}
	for name, test := range map[string]struct {
		scheme string
		spoil  func(net.Conn)
	}{
		"CONNECT is refused":  {"http", connect("502 Bad Gateway")},
		"CONNECT hangs up":    {"http", func(c net.Conn) { _, _ = c.Read(make([]byte, 64)) }},
		"SOCKS hangs up":      {"socks5", func(c net.Conn) { _, _ = c.Read(make([]byte, 64)) }},
		"SOCKS is refused":    {"socks5", func(c net.Conn) { _, _ = c.Read(make([]byte, 64)); _, _ = c.Write([]byte{5, 0xff}) }},
		"TLS of the proxy is": {"https", func(c net.Conn) { _, _ = c.Read(make([]byte, 64)) }},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			t.Run(name+" "+method, func(t *testing.T) {
				m := &fakeIssuer{}
				server, base := newTLSServer(t, false, m.guard(func(http.ResponseWriter, *http.Request) { t.Error("the request reached the server") }))
				g := newFaultyRelay(t, server.Listener.Addr().String(), 100, test.spoil)
				base.Proxy = http.ProxyURL(&url.URL{Scheme: test.scheme, Host: g.Addr().String()})
				req := newRequest(t, method, server.URL, strings.NewReader("payment"))
				if _, err := trySend(newTransport(t, m, base, listing(server)), req); err == nil {
					t.Error("it was answered")
				}
				if n := g.spoilt.Load(); n != 3 {
					t.Errorf("it was tried %d times, want 3", n)
				}
			})
		}
	}
}

// An otelhttp outside the transport wraps a request's body. The body then looks
// like one of the program.
func TestPayment_RetriedIfConnectionRefused(t *testing.T) {
	for wrapper, wrap := range errorWrappers {
		for body, edit := range bodiesOfPayments {
			dialled := 0
			base := transport.NewBase()
			base.DialContext = func(context.Context, string, string) (net.Conn, error) {
				dialled++
				return nil, opError("dial")
			}
			rt := wrap(newTransport(t, &fakeIssuer{}, wrap(base)))
			req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
			edit(req)
			_, err := trySend(rt, req)
			want := 3
			if body == "streamed" {
				want = 1
			}
			if dialled != want || err == nil {
				t.Errorf("%s, %s: dialled %d times with error %v, want %d", wrapper, body, dialled, err, want)
			}
		}
	}
}

// A dial error proves nothing unless the base shows that no attempt preceded
// it.
func TestPayment_IsNotSentAgainWithoutEvidence(t *testing.T) {
	dial := opError("dial")
	for name, test := range map[string]struct {
		err   error
		key   bool
		body  string
		sent  int
		asked bool // The base shows that it requested a connection.
		got   bool // The base shows that it got a connection.
	}{
		"a dial":                           {err: dial, body: "with", sent: 3},
		"a wrapped dial":                   {err: fmt.Errorf("pismo: %w", dial), body: "with", sent: 3},
		"two dials":                        {err: errors.Join(dial, dial), body: "with", sent: 3},
		"two dials, one nested":            {err: fmt.Errorf("a %w, b %w", dial, fmt.Errorf("c: %w", dial)), body: "with", sent: 3},
		"a dial and something else":        {err: errors.Join(dial, io.EOF), body: "with", sent: 1},
		"something else and a dial":        {err: fmt.Errorf("%w, then %w", io.EOF, dial), body: "with", sent: 1},
		"nothing joined":                   {err: errors.Join(joinedNothing{}), body: "with", sent: 1},
		"a dial with a key, no body":       {err: dial, key: true, body: "nil", sent: 1},
		"a dial with a key":                {err: dial, key: true, body: "with", sent: 3},
		"a dial, own GetBody":              {err: dial, body: "own GetBody", sent: 1},
		"shown, a dial, own GetBody":       {err: dial, body: "own GetBody", sent: 3, asked: true},
		"shown, a dial with a key":         {err: dial, key: true, body: "nil", sent: 3, asked: true},
		"shown, whatever error":            {err: io.EOF, body: "with", sent: 3, asked: true},
		"shown, errors of two tries":       {err: errors.Join(io.EOF, dial), body: "with", sent: 1, asked: true},
		"shown, a dial after a connection": {err: dial, body: "with", sent: 1, asked: true, got: true},
		"EOF":                              {err: io.EOF, body: "with", sent: 1},
		"the text of a refusal":            {err: errors.New("stream error: stream ID 3; REFUSED_STREAM"), body: "with", sent: 1},
		"a refusal":                        {err: errors.New("stream error: stream ID 3; REFUSED_STREAM; received from peer"), body: "with", sent: 3, asked: true, got: true},
		"a breaker":                        {err: errors.New("circuit breaker is open"), body: "with", sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
					fireConnectionHooks(s.ctx, test.asked, test.got)
					return nil, test.err
				}}
				req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
				bodiesOfPayments[test.body](req)
				if test.key {
					req.Header.Set("Idempotency-Key", "k1")
				}
				if _, err := trySend(newTransport(t, &fakeIssuer{}, w), req); err != test.err {
					t.Errorf("got error %v, want the error of the base", err)
				}
				wantSent(t, w, test.sent)
			})
		})
	}
}

type joinedNothing struct{}

func (joinedNothing) Error() string   { return "nothing" }
func (joinedNothing) Unwrap() []error { return nil }

// An open circuit breaker answers at once. Retries with waits would defeat its
// purpose.
func TestGET_IsRetriedOnlyForErrorsOfConnections(t *testing.T) {
	for _, test := range []struct {
		err  error
		sent int
	}{
		{errors.New("circuit breaker is open"), 1},
		{fmt.Errorf("breaker: %w", errors.New("too many requests")), 1},
		{&url.Error{Op: "Get", URL: target, Err: errors.New("circuit breaker is open")}, 1},
		{&url.Error{Op: "Get", URL: target, Err: io.EOF}, 3},
		{context.Canceled, 1},
		{errors.New("rate: Wait(n=1) would exceed context deadline"), 1},
		{io.EOF, 3},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), 3},
		{errors.Join(errors.New("first"), io.EOF), 3},
		{errors.Join(errors.New("first"), errors.New("second")), 1},
		{net.ErrClosed, 3},
		{context.DeadlineExceeded, 3}, // The base's own deadline.
		{&net.DNSError{Err: "no such host", Name: host, IsTemporary: true}, 3},
		{errors.New("http: server closed idle connection"), 3},
		{errors.New("http2: client connection lost"), 3},
		{errors.New("stream error: stream ID 5; INTERNAL_ERROR; received from peer"), 3},
		{errors.New("http: server gave HTTP response to HTTPS client"), 1},
		{errors.New("net/http: invalid header field name \"a b\""), 1},
		{errors.New("Bad Gateway"), 3}, // The error of a proxy that refuses to connect.
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &fakeBase{answer: func(sentRequest) (*http.Response, error) { return nil, test.err }}
			if _, err := trySend(newTransport(t, &fakeIssuer{}, w), newRequest(t, http.MethodGet, target, nil)); err != test.err {
				t.Errorf("got error %v, want %v", err, test.err)
			}
			if got := len(w.requests()); got != test.sent {
				t.Errorf("%v: sent %d times, want %d", test.err, got, test.sent)
			}
		})
	}
}
