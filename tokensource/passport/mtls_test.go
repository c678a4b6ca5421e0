// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// An mtlsServer requires client certificates. It answers with the serial number
// of the client's certificate.
type mtlsServer struct {
	*httptest.Server
	conns atomic.Int64
	hold  chan struct{} // requests of /slow wait on it
	gone  chan struct{} // a value for each connection that was closed
}

func newMTLSServer(t *testing.T, version string) *mtlsServer {
	t.Helper()
	m := &mtlsServer{hold: make(chan struct{}), gone: make(chan struct{}, 100)}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != version {
			t.Errorf("%s, want %s", r.Proto, version)
		}
		serial := r.TLS.PeerCertificates[0].SerialNumber.String()
		if r.Method == http.MethodPost {
			answer(http.StatusCreated, `{"token":"serial-`+serial+`"}`)(w, r)
			return
		}
		_, _ = io.WriteString(w, "serial")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/slow" {
			<-m.hold
		}
		_, _ = io.WriteString(w, "-"+serial)
	}))
	m.Config.ErrorLog = log.New(io.Discard, "", 0) // A rotation may interrupt handshakes, which the server logs.
	m.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			m.conns.Add(1)
		case http.StateClosed:
			m.gone <- struct{}{}
		}
	}
	m.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	m.EnableHTTP2 = version == "HTTP/2.0"
	m.StartTLS()
	t.Cleanup(m.Close)
	return m
}

// base returns a transport that trusts the server.
func (m *mtlsServer) base() *http.Transport {
	base := transport.NewBase()
	base.TLSClientConfig.RootCAs = x509.NewCertPool()
	base.TLSClientConfig.RootCAs.AddCert(m.Certificate())
	// A resumed session must not present an old certificate.
	base.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	return base
}

// awaitClosed waits until the server has seen n connections close.
func (m *mtlsServer) awaitClosed(t *testing.T, connections int64) {
	t.Helper()
	limit := time.After(time.Minute)
	for range connections {
		select {
		case <-m.gone:
		case <-limit:
			t.Fatal("a connection is still open")
		}
	}
}

func (m *mtlsServer) get(ctx context.Context, client *http.Client, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// rotate replaces the files with another pair.
func rotate(t *testing.T, files pairOnDisk, serial int64) {
	t.Helper()
	cert, key := newPair(t, serial)
	replace(t, files.certFile, cert)
	replace(t, files.keyFile, key)
}
