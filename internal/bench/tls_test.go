// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

const (
	workers  = 32
	requests = 3200
)

// A busy service sends requests to one host, over TLS and HTTP/1.1. Each side
// uses its default http.Transport. The benchmark counts connections.
func BenchmarkTLS(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) {
		benchmarkLoad(b, transport.NewBase, func(host string, base http.RoundTripper) http.RoundTripper {
			return newTransport(b, transport.Config{Hosts: []string{host}, Account: tokensource.Organization(), Base: base})
		})
	})
	// This side attaches a token too, so that both do the same work.
	b.Run("side=DefaultTransport", func(b *testing.B) {
		byDefault := func() *http.Transport { return http.DefaultTransport.(*http.Transport).Clone() }
		benchmarkLoad(b, byDefault, func(_ string, base http.RoundTripper) http.RoundTripper { return newOAuth2(base) })
	})
}

// benchmarkLoad measures the requests per second of a client, and counts the
// connections that it opens.
func benchmarkLoad(b *testing.B, newBase func() *http.Transport, over func(host string, base http.RoundTripper) http.RoundTripper) {
	b.Helper()
	server, opened := newTLSServer(b)
	var took time.Duration
	most, runs := 0, 0
	for b.Loop() {
		opened.Store(0)
		base := newBase()
		base.TLSClientConfig = withAuthority(base.TLSClientConfig, server.Certificate())
		client := &http.Client{Transport: over(server.Listener.Addr().String(), base)}
		start := time.Now()
		if failed := load(client, server.URL+"/v1/accounts/1"); failed > 0 {
			b.Fatalf("%d of %d requests failed", failed, requests)
		}
		took += time.Since(start)
		most = max(most, int(opened.Load()))
		runs++
		base.CloseIdleConnections()
	}
	b.ReportMetric(float64(runs*requests)/took.Seconds(), "req/s")
	b.ReportMetric(float64(most), "conns")
}

// newTLSServer returns an HTTP/1.1 server with a small answer, and the number
// of connections to it.
func newTLSServer(tb testing.TB) (*httptest.Server, *atomic.Int64) {
	tb.Helper()
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"account_id":1,"status":"NORMAL"}`) // The client notices an error.
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // It would log canceled handshakes.
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{newCertificate(tb)}}
	server.StartTLS()
	tb.Cleanup(server.Close)
	return server, &opened
}

// newCertificate returns a certificate for loopback with a P-256 key. Its
// handshake is the cheapest, which favours the side with more connections.
func newCertificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// withAuthority makes c trust an authority. A nil c means a new configuration.
func withAuthority(c *tls.Config, authority *x509.Certificate) *tls.Config {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.RootCAs = x509.NewCertPool()
	c.RootCAs.AddCert(authority)
	return c
}

// load sends all requests, and returns how many of them failed.
func load(client *http.Client, url string) int64 {
	var failed, sent atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for sent.Add(1) <= requests {
				if !fetch(client, url) {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	return failed.Load()
}

// fetch reports whether a GET got a 200 with its whole body.
func fetch(client *http.Client, url string) bool {
	resp, err := client.Get(url) //nolint:noctx // The benchmark cancels no request.
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}
