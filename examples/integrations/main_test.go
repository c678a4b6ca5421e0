// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// alice is the account that requests are for.
const alice = "102681871"

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// newSource returns a Source for the fake server.
func newSource(t *testing.T, pismo *passporttest.Server) *tokensource.Source {
	t.Helper()
	return must(tokensource.New(tokensource.Config{Issuer: pismo.Issuer()}))(t)
}

// newTransport returns a transport to the fake server.
func newTransport(t *testing.T, pismo *passporttest.Server, edits ...func(*transport.Config)) *transport.Transport {
	t.Helper()
	config := transport.Config{Source: newSource(t, pismo), Hosts: []string{pismo.Host()}}
	for _, edit := range edits {
		edit(&config)
	}
	authenticated := must(transport.New(config))(t)
	t.Cleanup(authenticated.CloseIdleConnections)
	return authenticated
}

// over makes a transport use base.
func over(base http.RoundTripper) func(*transport.Config) {
	return func(config *transport.Config) { config.Base = base }
}

// forAlice returns a context for requests of alice's account.
func forAlice(t *testing.T) context.Context {
	t.Helper()
	return tokensource.ContextWithAccount(t.Context(), must(tokensource.ParseAccountID(alice))(t))
}

// newRequest returns a request with ctx. The request has a body if payment is
// not empty.
func newRequest(ctx context.Context, t *testing.T, method, url, payment string) *http.Request {
	t.Helper()
	var body io.Reader
	if payment != "" {
		body = strings.NewReader(payment)
	}
	return must(http.NewRequestWithContext(ctx, method, url, body))(t)
}

// read reads the body of a response to its end.
func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	return string(must(io.ReadAll(resp.Body))(t))
}

// tokenOf returns the token of alice's account, so that tests can search for
// it.
func tokenOf(t *testing.T, authenticated *transport.Transport) string {
	t.Helper()
	return must(authenticated.Source().Token(t.Context(), must(tokensource.ParseAccountID(alice))(t)))(t).Reveal()
}

// serve serves a handler until the end of the test. It returns the URL.
func serve(t *testing.T, handler http.Handler, edits ...func(*http.Server)) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	for _, edit := range edits {
		edit(server.Config)
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// get sends a GET request. It returns the status and the body of the answer.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp := must(http.DefaultClient.Do(newRequest(t.Context(), t, http.MethodGet, url, "")))(t)
	return resp.StatusCode, read(t, resp)
}

// newProxy returns a proxy to the fake server, and the proxy's log.
func newProxy(t *testing.T, pismo *passporttest.Server, account middleware.AccountFunc) (http.Handler, *logged) {
	t.Helper()
	logged := new(logged)
	proxy := must(middleware.NewProxy(middleware.ProxyConfig{
		Target:    must(parseURL(pismo.URL()))(t),
		Transport: newTransport(t, pismo),
		Account:   account,
		Logger:    slog.New(slog.NewTextHandler(logged, nil)),
	}))(t)
	return proxy, logged
}

// A logged keeps everything that is written to it. It is safe for concurrent
// use.
type logged struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(b)
}

func (l *logged) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.String()
}

// recipe: round-tripper
// A roundTripper is a function that is an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// end

// counting counts the requests that go through it.
func counting(next http.RoundTripper, n *int) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		*n++
		return next.RoundTrip(req)
	})
}

// isUnsent reports whether err says that a request was not sent for that
// reason.
func isUnsent(err error, reason transport.UnsentError) bool { return errors.Is(err, reason) }

func parseURL(raw string) (*url.URL, error) { return url.Parse(raw) }

func newTokenSource(issuer tokensource.Issuer) (*tokensource.Source, error) {
	return tokensource.New(tokensource.Config{Issuer: issuer})
}

func (l *logged) printf(format string, v ...any) { _, _ = fmt.Fprintf(l, format+"\n", v...) }

// forAccount returns a context for requests of an account.
func forAccount(t *testing.T, id string) context.Context {
	t.Helper()
	return tokensource.ContextWithAccount(t.Context(), must(tokensource.ParseAccountID(id))(t))
}

// forAliceAlways maps every inbound request to alice.
func forAliceAlways(t *testing.T) middleware.AccountFunc {
	t.Helper()
	return middleware.FixedAccount(must(tokensource.ParseAccountID(alice))(t))
}

// A testCertificate is a client certificate with its issuer.
type testCertificate struct {
	tls.Certificate
	authority *x509.CertPool
}

func clientCertificate(t *testing.T) testCertificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)
	authority := x509.NewCertPool()
	authority.AddCert(must(x509.ParseCertificate(der))(t))
	return testCertificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, authority}
}
