// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// The credentials come from Pismo's published samples. The secret has every
// special character of known secrets: characters with a meaning in shells, JSON
// or HTML.
const (
	sampleKey    = "5d8252ea2e6729223f30d477d79a5c3cb45f8e03"
	sampleSecret = "$ ) ( ; % _ & =\"'\\<>{}`#é"
)

// serve returns the URL of a server on loopback.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// answer returns a handler that always gives the same answer. The headers are
// pairs of name and value.
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// issuer returns an S2S for the sample credentials.
func issuer(baseURL string) *passport.S2S {
	return &passport.S2S{
		BaseURL:     baseURL,
		Credentials: passport.StaticCredentials(sampleKey, sampleSecret),
	}
}

// listen returns a listener on loopback, for answers that net/http cannot give.
func listen(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func account(t *testing.T, id string) tokensource.Account {
	t.Helper()
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// failure returns err as a *tokensource.Error. It fails the test if err is not
// one.
func failure(t *testing.T, err error) *tokensource.Error {
	t.Helper()
	var failure *tokensource.Error
	if !errors.As(err, &failure) {
		t.Fatalf("error is a %T, want a *tokensource.Error: %v", err, err)
	}
	return failure
}

// wantKind fails the test unless err has the given kind.
func wantKind(t *testing.T, err error, kind tokensource.ErrorKind) {
	t.Helper()
	_ = failedWith(t, err, kind)
}

// failedWith returns err as a *tokensource.Error. It fails the test unless err
// has the given kind.
func failedWith(t *testing.T, err error, kind tokensource.ErrorKind) *tokensource.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", kind)
	}
	failure := failure(t, err)
	if failure.Kind != kind {
		t.Errorf("kind = %s, want %s (cause: %v)", failure.Kind, kind, cause(failure))
	}
	return failure
}

// cause returns the cause of an Error.
func cause(err *tokensource.Error) error {
	return errors.Unwrap(err)
}

// A pipe connects a client to a server without a network. Both can run in a
// bubble of testing/synctest.
type pipe struct {
	accepted chan net.Conn
	done     chan struct{}
	close    func()

	mu    sync.Mutex
	conns []*pipeConn // all dialled connections
}

// overPipe returns a client that sends all requests to the handler.
func overPipe(t *testing.T, handler http.HandlerFunc) *http.Client {
	t.Helper()
	client, _ := overPipes(t, handler, func(p *http.Protocols) { p.SetHTTP1(true) })
	return client
}

// overPipes is like overPipe, with a choice of HTTP/1.1 or unencrypted HTTP/2.
func overPipes(t *testing.T, handler http.HandlerFunc, choose func(*http.Protocols)) (*http.Client, *pipe) {
	t.Helper()
	p := &pipe{accepted: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	protocols := new(http.Protocols)
	choose(protocols)
	server := &http.Server{Handler: handler, Protocols: protocols}
	go func() { _ = server.Serve(p) }()
	transport := &http.Transport{DialContext: p.dial, Protocols: protocols, MaxIdleConnsPerHost: 10}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		p.cut()
	})
	return &http.Client{Transport: transport}, p
}

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepted <- server:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w := &pipeConn{Conn: client, frozen: make(chan struct{}), closed: make(chan struct{})}
	w.freeze = sync.OnceFunc(func() { close(w.frozen) })
	w.close = sync.OnceFunc(func() { close(w.closed) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, w)
	return w, nil
}

// freeze makes all open connections drop written data and deliver nothing. New
// connections work. It returns the number of open connections.
func (p *pipe) freeze() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.conns {
		w.freeze()
	}
	return len(p.conns)
}

// dialled returns the number of connections that were made.
func (p *pipe) dialled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// cut closes every connection.
func (p *pipe) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.conns {
		_ = w.Close()
	}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.close(); return nil }
func (p *pipe) Addr() net.Addr { return &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// A pipeConn is the client's end of a connection.
type pipeConn struct {
	net.Conn
	frozen, closed chan struct{}
	freeze, close  func()
}

func (w *pipeConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	select {
	case <-w.frozen:
		<-w.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (w *pipeConn) Write(b []byte) (int, error) {
	select {
	case <-w.frozen:
		return len(b), nil
	default:
		return w.Conn.Write(b)
	}
}

func (w *pipeConn) Close() error {
	w.close()
	return w.Conn.Close()
}

// A roundTripperFunc is a function as an http.RoundTripper.
type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// unusableClient returns a client that fails the test when it is used.
func unusableClient(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: roundTripperFunc(func(req *http.Request) (*http.Response, error) {
		t.Errorf("a request was sent to %s", req.URL)
		return nil, errors.New("refused")
	})}
}
