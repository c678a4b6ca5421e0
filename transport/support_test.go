// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A roundTripper is a function as a base.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A fakeBase is a base without a network. It reads each request to its end,
// records the request, and gives the configured response.
type fakeBase struct {
	answer func(sentRequest) (*http.Response, error) // nil means 200

	mu   sync.Mutex
	sent []sentRequest
}

// A sentRequest is a request as it was sent.
type sentRequest struct {
	number        int // from 1
	method, url   string
	header        http.Header
	body          string
	contentLength int64
	resend        int
	ctx           context.Context
}

func (w *fakeBase) RoundTrip(req *http.Request) (*http.Response, error) {
	s := sentRequest{
		method:        req.Method,
		url:           req.URL.String(),
		header:        req.Header.Clone(),
		contentLength: req.ContentLength,
		resend:        transport.ResendCount(req.Context()),
		ctx:           req.Context(),
	}
	var err error
	if req.Body != nil {
		var body []byte
		body, err = io.ReadAll(req.Body)
		s.body = string(body)
		_ = req.Body.Close()
	}
	w.mu.Lock()
	s.number = len(w.sent) + 1
	w.sent = append(w.sent, s)
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if w.answer == nil {
		return respond(http.StatusOK, ""), nil
	}
	return w.answer(s)
}

// requests returns the requests that were sent.
func (w *fakeBase) requests() []sentRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.sent)
}

// respond makes a response. Header fields are pairs of name and value.
func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        h,
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// always returns the same answer for every request.
func always(status int, body string, header ...string) func(sentRequest) (*http.Response, error) {
	return func(sentRequest) (*http.Response, error) { return respond(status, body, header...), nil }
}

func newSource(tb testing.TB, issuer tokensource.Issuer) *tokensource.Source {
	tb.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		tb.Fatal("tokensource.New:", err)
	}
	return source
}

// newTransport returns a Transport for the organization at host, with tokens of
// m. The edits change its configuration.
func newTransport(tb testing.TB, m *fakeIssuer, base http.RoundTripper, edits ...func(*transport.Config)) *transport.Transport {
	tb.Helper()
	config := transport.Config{
		Source:  newSource(tb, m),
		Hosts:   []string{host},
		Account: tokensource.Organization(),
		Base:    base,
	}
	for _, edit := range edits {
		edit(&config)
	}
	rt, err := transport.New(config)
	if err != nil {
		tb.Fatal("transport.New:", err)
	}
	tb.Cleanup(rt.CloseIdleConnections)
	return rt
}

// newServer starts a server on loopback.
func newServer(tb testing.TB, handler http.HandlerFunc) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	return server
}

// listing sets the host of the configuration to that of a server.
func listing(server *httptest.Server) func(*transport.Config) {
	return func(c *transport.Config) { c.Hosts = []string{server.Listener.Addr().String()} }
}

// noDefaultAccount removes the account from the configuration.
func noDefaultAccount(c *transport.Config) { c.Account = tokensource.Account{} }

func newRequest(tb testing.TB, method, url string, body io.Reader) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, body)
	if err != nil {
		tb.Fatal("NewRequest:", err)
	}
	return req
}

// A reply is a response with its body.
type reply struct {
	status  int
	header  http.Header
	body    string
	verdict transport.Verdict // "" means no verdict
}

// send sends a request and reads the response. It fails the test on an error.
func send(tb testing.TB, rt http.RoundTripper, req *http.Request) reply {
	tb.Helper()
	r, err := trySend(rt, req)
	if err != nil {
		tb.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return r
}

// trySend is like send, but returns the error. It can run on any goroutine.
func trySend(rt http.RoundTripper, req *http.Request) (reply, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode, header: resp.Header}
	r.verdict, _ = transport.VerdictOf(resp)
	body, err := io.ReadAll(resp.Body)
	r.body = string(body)
	return r, errors.Join(err, resp.Body.Close())
}

func get(tb testing.TB, rt http.RoundTripper, url string) reply {
	tb.Helper()
	return send(tb, rt, newRequest(tb, http.MethodGet, url, nil))
}

func post(tb testing.TB, rt http.RoundTripper, url, body string) reply {
	tb.Helper()
	return send(tb, rt, newRequest(tb, http.MethodPost, url, strings.NewReader(body)))
}

// acct returns the account with a number.
func acct(tb testing.TB, id string) tokensource.Account {
	tb.Helper()
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		tb.Fatal("ParseAccountID:", err)
	}
	return account
}

// contextFor returns a context that carries an account.
func contextFor(tb testing.TB, req *http.Request, id string) context.Context {
	tb.Helper()
	return tokensource.ContextWithAccount(req.Context(), acct(tb, id))
}

func wantStatus(tb testing.TB, r reply, status int) {
	tb.Helper()
	if r.status != status {
		tb.Errorf("got status %d, want %d", r.status, status)
	}
}

func wantSent(tb testing.TB, w *fakeBase, times int) {
	tb.Helper()
	if got := len(w.requests()); got != times {
		tb.Errorf("the request was sent %d times, want %d", got, times)
	}
}

func wantIssued(tb testing.TB, m *fakeIssuer, times int) {
	tb.Helper()
	if got := m.issuances(); got != times {
		tb.Errorf("%d tokens were issued, want %d", got, times)
	}
}

// fireConnectionHooks calls the hooks of httptrace like a base that requests
// and obtains a connection.
func fireConnectionHooks(ctx context.Context, asked, got bool) {
	trace := httptrace.ContextClientTrace(ctx)
	if asked {
		trace.GetConn(host + ":443")
	}
	if got {
		trace.GotConn(httptrace.GotConnInfo{})
	}
}

// withoutGetBody hides the type of a reader from http.NewRequest, so that
// http.NewRequest sets neither GetBody nor ContentLength.
func withoutGetBody(r io.Reader) io.Reader { return struct{ io.Reader }{r} }

// sleep advances the time of a bubble.
func sleep(d time.Duration) { time.Sleep(d) }
