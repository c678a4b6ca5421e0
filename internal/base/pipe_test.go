// SPDX-License-Identifier: Apache-2.0

package base_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A pipeNetwork connects a client to a server in this process. Both can run in
// a testing/synctest bubble.
type pipeNetwork struct {
	conns  chan net.Conn
	closed chan struct{}
	dials  atomic.Int64

	mu           sync.Mutex
	live, frozen []*pipeConn
}

func (n *pipeNetwork) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *pipeNetwork) Close() error {
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}

func (n *pipeNetwork) Addr() net.Addr { return &net.TCPAddr{} }

func (n *pipeNetwork) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	w := &pipeConn{Conn: client, frozen: make(chan struct{}), done: make(chan struct{})}
	n.mu.Lock()
	n.live = append(n.live, w)
	n.mu.Unlock()
	n.dials.Add(1)
	n.conns <- server
	return w, nil
}

// freeze makes all open connections drop written data and deliver nothing. New
// connections work.
func (n *pipeNetwork) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.live {
		close(w.frozen)
	}
	n.live, n.frozen = nil, append(n.frozen, n.live...)
}

// open returns the number of connections that the client has not closed.
func (n *pipeNetwork) open() (open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.live {
		if !w.closed() {
			open++
		}
	}
	return open
}

// A pipeConn is the client's end of a connection.
type pipeConn struct {
	net.Conn
	frozen, done chan struct{}
	once         sync.Once
}

func (w *pipeConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	select {
	case <-w.frozen:
		<-w.done
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

func (w *pipeConn) closed() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *pipeConn) Close() error {
	w.once.Do(func() { close(w.done) })
	return w.Conn.Close()
}

// serve serves a handler until the end of the test. It returns the network, and
// the authority of the server's certificate.
func serve(t *testing.T, protocol func(*http.Protocols, bool), handler http.HandlerFunc) (*pipeNetwork, *x509.CertPool) {
	t.Helper()
	n := &pipeNetwork{conns: make(chan net.Conn), closed: make(chan struct{})}
	certificate, roots := selfSigned(t, "pismo.example")
	server := &http.Server{
		Handler:     handler,
		Protocols:   new(http.Protocols),
		ReadTimeout: time.Hour,
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert},
	}
	protocol(server.Protocols, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(n, "", "")
	}()
	t.Cleanup(func() {
		_ = n.Close()
		_ = server.Close()
		<-done
	})
	return n, roots
}

var (
	http1 = func(p *http.Protocols, ok bool) { p.SetHTTP1(ok) }
	http2 = func(p *http.Protocols, ok bool) { p.SetHTTP2(ok) }
)

func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{name},
		NotAfter:     time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
