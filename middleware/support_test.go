package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// The accounts of two clients.
const (
	alice = "102681871"
	bob   = "102681872"
)

// A fakePlatform is the fake server, with a Source and a Transport for it.
type fakePlatform struct {
	*passporttest.Server

	source    *tokensource.Source
	transport *transport.Transport
	base      *http.Transport
	target    *url.URL
}

func newPlatform(tb testing.TB, config passporttest.Config) *fakePlatform {
	tb.Helper()
	return newPlatformFor(tb, passporttest.NewServer(tb, config), tokensource.Config{})
}

// newPlatformFor makes a platform of a fake server. The configuration needs no issuer.
func newPlatformFor(tb testing.TB, fake *passporttest.Server, config tokensource.Config) *fakePlatform {
	tb.Helper()
	p := &fakePlatform{Server: fake, base: transport.NewBase()}
	if certificate := fake.Certificate(); certificate != nil {
		p.base.TLSClientConfig.RootCAs = x509.NewCertPool()
		p.base.TLSClientConfig.RootCAs.AddCert(certificate)
	}
	if config.Issuer == nil {
		config.Issuer = fake.Issuer()
	}
	p.source = newSource(tb, config)
	p.transport = newTransport(tb, transport.Config{Source: p.source, Hosts: []string{fake.Host()}, Base: p.base})
	p.target = parseURL(tb, fake.URL())
	return p
}

func newSource(tb testing.TB, config tokensource.Config) *tokensource.Source {
	tb.Helper()
	source, err := tokensource.New(config)
	if err != nil {
		tb.Fatal("tokensource.New:", err)
	}
	return source
}

func newTransport(tb testing.TB, config transport.Config) *transport.Transport {
	tb.Helper()
	rt, err := transport.New(config)
	if err != nil {
		tb.Fatal("transport.New:", err)
	}
	tb.Cleanup(rt.CloseIdleConnections)
	return rt
}

func newMiddleware(tb testing.TB, config middleware.Config) *middleware.Middleware {
	tb.Helper()
	if config.Logger == nil {
		config.Logger = discardLogger
	}
	m, err := middleware.New(config)
	if err != nil {
		tb.Fatal("middleware.New:", err)
	}
	return m
}

// fromHeader returns what finds an account in a header field.
func fromHeader(tb testing.TB, name string, pattern *regexp.Regexp) middleware.AccountFunc {
	tb.Helper()
	find, err := middleware.FromHeader(name, pattern)
	if err != nil {
		tb.Fatal("FromHeader:", err)
	}
	return find
}

// faultyFields returns the fields of the faults that a constructor reports.
func faultyFields(tb testing.TB, err error) []string {
	tb.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		tb.Fatalf("no faults are reported: %v", err)
	}
	check(tb, "errors.Is misconfigured", errors.Is(err, tokensource.ErrMisconfigured), true)
	var fields []string
	for _, fault := range joined.Unwrap() {
		config, ok := errors.AsType[*tokensource.ConfigError](fault)
		if !ok || config.Reason == "" {
			tb.Fatalf("not a ConfigError: %v", fault)
		}
		fields = append(fields, config.Field)
	}
	return fields
}

// revoke revokes all tokens, and returns the one of alice that was current.
func (p *fakePlatform) revoke(tb testing.TB) *tokensource.Token {
	tb.Helper()
	token, err := p.source.Token(tb.Context(), acct(tb, alice))
	if err != nil {
		tb.Fatal("Token:", err)
	}
	p.RevokeAll()
	return token
}

// awaitSuccessor waits until a token that was refused has been replaced.
func (p *fakePlatform) awaitSuccessor(tb testing.TB, refused *tokensource.Token) {
	tb.Helper()
	if _, err := p.source.Renew(tb.Context(), refused); err != nil {
		tb.Fatal("Renew:", err)
	}
}

// wrap wraps next for an account, or as edits say.
func (p *fakePlatform) wrap(tb testing.TB, next http.HandlerFunc, edits ...func(*middleware.Config)) http.Handler {
	tb.Helper()
	config := middleware.Config{Source: p.source, Account: middleware.FixedAccount(acct(tb, alice)), Logger: discardLogger}
	for _, edit := range edits {
		edit(&config)
	}
	return newMiddleware(tb, config).Wrap(next)
}

// proxy returns a proxy to the platform for an account, or as edits say.
func (p *fakePlatform) proxy(tb testing.TB, edits ...func(*middleware.ProxyConfig)) http.Handler {
	tb.Helper()
	config := middleware.ProxyConfig{Target: p.target, Transport: p.transport, Account: middleware.FixedAccount(acct(tb, alice)), Logger: discardLogger}
	for _, edit := range edits {
		edit(&config)
	}
	proxy, err := middleware.NewProxy(config)
	if err != nil {
		tb.Fatal("NewProxy:", err)
	}
	return proxy
}

// A service is an HTTP server on loopback that must have nothing to complain
// about.
type service struct {
	*httptest.Server

	log *recorder
}

// serve starts a service.
func serve(tb testing.TB, handler http.Handler, edits ...func(*http.Server)) *service {
	tb.Helper()
	s := &service{Server: httptest.NewUnstartedServer(handler), log: new(recorder)}
	s.Config.ErrorLog = log.New(s.log, "", 0)
	for _, edit := range edits {
		edit(s.Config)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Close()
		if logged := s.log.String(); logged != "" {
			tb.Errorf("the server logged: %s", logged)
		}
	})
	return s
}

// discardLogger logs nothing.
var discardLogger = slog.New(slog.DiscardHandler)

// newLogger returns a logger, and what it logs.
func newLogger() (*slog.Logger, *recorder) {
	logged := new(recorder)
	return slog.New(slog.NewJSONHandler(logged, nil)), logged
}

// lines returns what was logged, line by line.
func (r *recorder) lines() []map[string]any {
	var lines []map[string]any
	for line := range strings.Lines(r.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			fields = map[string]any{"not JSON": line}
		}
		lines = append(lines, fields)
	}
	return lines
}

// recorder are what was written, by whomever.
type recorder struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// A reply is a response that was read to its end.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

// send sends a request, and reads the response. It fails the test on an error.
func (s *service) send(tb testing.TB, req *http.Request) reply {
	tb.Helper()
	r, err := s.try(req)
	if err != nil {
		tb.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return r
}

// try is send for requests that may fail, and for other goroutines. Redirects
// are not followed.
func (s *service) try(req *http.Request) (reply, error) {
	resp, err := s.Client().Transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(resp.Body)
	r := reply{resp.StatusCode, resp.Header, resp.Trailer, string(body)}
	return r, errors.Join(err, resp.Body.Close())
}

// readReply reads a response from a connection to its end.
func readReply(tb testing.TB, in *bufio.Reader) reply {
	tb.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		tb.Fatal("ReadResponse:", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(tb, "error of the body", err, nil)
	return reply{resp.StatusCode, resp.Header, resp.Trailer, string(body)}
}

// testTimeout is how long a test waits for what does not come.
const testTimeout = time.Minute

// request returns a request to the service. Header fields come in pairs of
// name and value.
func (s *service) request(tb testing.TB, method, path string, body io.Reader, header ...string) *http.Request {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), testTimeout)
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		tb.Fatal("NewRequest:", err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req
}

func (s *service) get(tb testing.TB, path string, header ...string) reply {
	tb.Helper()
	return s.send(tb, s.request(tb, http.MethodGet, path, nil, header...))
}

func (s *service) post(tb testing.TB, path, body string, header ...string) reply {
	tb.Helper()
	return s.send(tb, s.request(tb, http.MethodPost, path, strings.NewReader(body), header...))
}

// call has a handler answer a request without a network.
func call(handler http.Handler, r *http.Request) reply {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return reply{status: w.Code, header: w.Result().Header, body: w.Body.String()}
}

// inbound returns a request as a handler gets it. Header fields come in pairs
// of name and value.
func inbound(tb testing.TB, header ...string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// An issuerFunc is a function that is an issuer.
type issuerFunc func(context.Context, tokensource.Account) (tokensource.Grant, error)

func (f issuerFunc) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	return f(ctx, account)
}

// failingIssuer is an issuer that always fails.
func failingIssuer(err error) tokensource.Issuer {
	return issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
		return tokensource.Grant{}, err
	})
}

// grantingIssuer is an issuer that always grants.
func grantingIssuer(token string) tokensource.Issuer {
	return issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
		return tokensource.Grant{Token: tokensource.NewSecret(token)}, nil
	})
}

// acct returns the account with a number.
func acct(tb testing.TB, id string) tokensource.Account {
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		tb.Error("ParseAccountID:", err)
	}
	return account
}

func parseURL(tb testing.TB, text string) *url.URL {
	tb.Helper()
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatal("url.Parse:", err)
	}
	return u
}

func check[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantProblem checks that an answer is a problem of a kind, as RFC 9457 has it.
func wantProblem(tb testing.TB, r reply, status int, name string) {
	tb.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(r.body), &fields); err != nil {
		tb.Errorf("status %d, and no JSON object: %q", r.status, r.body)
		return
	}
	check(tb, "status", r.status, status)
	check[any](tb, "type", fields["type"], "https://github.com/pismoauth/pismoauth/blob/main/docs/errors.md#"+name)
	check[any](tb, "status in the body", fields["status"], float64(status))
	check(tb, "Content-Type", r.header.Get("Content-Type"), "application/problem+json")
	check(tb, "Cache-Control", r.header.Get("Cache-Control"), "no-store")
}

// concurrently calls do n times at once.
func concurrently(n int, do func(i int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { do(i) })
	}
	running.Wait()
}

// await returns what a channel gives, and fails the test if it gives nothing.
func await[T any](tb testing.TB, from <-chan T) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(testTimeout):
		tb.Fatal("nothing came")
		panic("not reached")
	}
}
