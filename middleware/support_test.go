// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// The accounts belong to two clients.
const (
	alice = "102681871"
	bob   = "102681872"
)

// A fakePlatform is a fake server with a Source and a Transport for it.
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

// newPlatformFor returns a platform with that fake server. The config does not
// need an issuer.
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

// fromHeader returns the AccountFunc of FromHeader.
func fromHeader(tb testing.TB, name string, pattern *regexp.Regexp) middleware.AccountFunc {
	tb.Helper()
	find, err := middleware.FromHeader(name, pattern)
	if err != nil {
		tb.Fatal("FromHeader:", err)
	}
	return find
}

// faultyFields returns the faulty fields that a constructor reports.
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

// revoke revokes all tokens, and returns alice's token.
func (p *fakePlatform) revoke(tb testing.TB) *tokensource.Token {
	tb.Helper()
	token, err := p.source.Token(tb.Context(), acct(tb, alice))
	if err != nil {
		tb.Fatal("Token:", err)
	}
	p.RevokeAll()
	return token
}

// awaitSuccessor waits until a refused token is replaced.
func (p *fakePlatform) awaitSuccessor(tb testing.TB, refused *tokensource.Token) {
	tb.Helper()
	if _, err := p.source.Renew(tb.Context(), refused); err != nil {
		tb.Fatal("Renew:", err)
	}
}

// wrap wraps next for alice's account. The edits change the config.
func (p *fakePlatform) wrap(tb testing.TB, next http.HandlerFunc, edits ...func(*middleware.Config)) http.Handler {
	tb.Helper()
	config := middleware.Config{Source: p.source, Account: middleware.FixedAccount(acct(tb, alice)), Logger: discardLogger}
	for _, edit := range edits {
		edit(&config)
	}
	return newMiddleware(tb, config).Wrap(next)
}

// proxy returns a proxy to the platform for alice's account. The edits change
// the config.
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

// discardLogger logs nothing.
var discardLogger = slog.New(slog.DiscardHandler)

// An issuerFunc is a function as a tokensource.Issuer.
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

// acct returns the account with that id.
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

// wantProblem checks that an answer is a problem of the given type (RFC 9457).
func wantProblem(tb testing.TB, r reply, status int, name string) {
	tb.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(r.body), &fields); err != nil {
		tb.Errorf("status %d, body is not a JSON object: %q", r.status, r.body)
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

// await returns the next value of a channel. It fails the test after
// testTimeout.
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

// A roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answeringBase is a base that answers 200 to every request.
func answeringBase(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// proxyOver returns a proxy that sends its requests to base, and the proxy's
// log.
func proxyOver(t *testing.T, base roundTripper, edits ...func(*middleware.ProxyConfig)) (http.Handler, *recorder) {
	t.Helper()
	source := newSource(t, tokensource.Config{Issuer: grantingIssuer("SENTINELTOKEN")})
	logger, logged := newLogger()
	config := middleware.ProxyConfig{
		Target:    parseURL(t, "https://sandbox.pismolabs.io"),
		Transport: newTransport(t, transport.Config{Source: source, Hosts: []string{"sandbox.pismolabs.io"}, Base: base, MaxAttempts: 1}),
		Account:   middleware.FixedAccount(acct(t, alice)),
		Logger:    logger,
	}
	for _, edit := range edits {
		edit(&config)
	}
	proxy, err := middleware.NewProxy(config)
	if err != nil {
		t.Fatal("NewProxy:", err)
	}
	return proxy, logged
}
