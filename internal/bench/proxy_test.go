// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/pismoauth/pismoauth/internal/bench/bareproxy"
	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// proxies are the reverse proxies that are compared. Each sends a token with
// every request, and has a pool of buffers.
var proxies = []struct {
	name string
	over func(tb testing.TB, base http.RoundTripper) http.Handler
}{
	{"side=pismoauth", newPismoauthProxy},
	{"side=bare", newBareProxy},
}

func newPismoauthProxy(tb testing.TB, base http.RoundTripper) http.Handler {
	tb.Helper()
	p, err := middleware.NewProxy(middleware.ProxyConfig{
		Target:    proxyTarget,
		Transport: newTransport(tb, transport.Config{Hosts: []string{apiHost}, Base: base}),
		Account:   middleware.FixedAccount(tokensource.Organization()),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func newBareProxy(_ testing.TB, base http.RoundTripper) http.Handler {
	proxy := bareproxy.New(proxyTarget, base, "Bearer "+tokenValue(1))
	proxy.BufferPool = new(bareproxy.Buffers)
	return proxy
}

var proxyTarget = &url.URL{Scheme: "https", Host: apiHost}

// A discardWriter is a ResponseWriter that keeps nothing but the header.
type discardWriter struct{ header http.Header }

func newDiscard() *discardWriter { return &discardWriter{http.Header{}} }

func (d *discardWriter) Header() http.Header         { return d.header }
func (d *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (d *discardWriter) WriteHeader(int)             {}

// newInbound returns a request of a client of a proxy.
func newInbound(tb testing.TB) *http.Request {
	tb.Helper()
	req := newGet(tb, "/v1/accounts/1")
	req.RemoteAddr, req.Host = "192.0.2.1:1234", "proxy.example"
	return req
}

// A request with eight fields through a reverse proxy, without a network.
func BenchmarkProxy(b *testing.B) {
	for _, side := range proxies {
		b.Run(side.name, func(b *testing.B) {
			p, req, w := side.over(b, &inProcessBase{}), newInbound(b), newDiscard()
			p.ServeHTTP(w, req)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				p.ServeHTTP(w, req)
			}
		})
	}
}
