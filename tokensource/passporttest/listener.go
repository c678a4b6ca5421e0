// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// A listener is the HTTP server of a Server that listens, with its client.
type listener struct {
	host        string
	server      *http.Server
	client      *http.Client
	certificate *x509.Certificate // nil without TLS

	serving     sync.WaitGroup
	connections sync.WaitGroup
}

// readHeaderTimeout bounds the time from the beginning of a connection to the
// end of the first request's header. The clients of net/http keep unused
// connections that they have dialed, most of them for 90 s. The timeout is
// longer than that, so that the server does not close a connection on which a
// client just sends a payment.
const readHeaderTimeout = 2 * time.Minute

// listen returns a listener that serves s.
func (s *Server) listen() (*listener, error) {
	socket, err := net.Listen("tcp", s.config.Addr) //nolint:noctx // Binding a loopback address does not block.
	if err != nil {
		return nil, fmt.Errorf("passporttest: %w", err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.config.HTTP2)
	transport := &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 100}
	l := &listener{host: socket.Addr().String(), client: &http.Client{Transport: transport}}
	l.server = &http.Server{
		Handler:           s.Handler(),
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
		ConnState:         l.trackConnection,
	}
	if s.config.TLS {
		if err := l.useTLS(s.config.ClientCAs, transport); err != nil {
			_ = socket.Close()
			return nil, fmt.Errorf("passporttest: %w", err)
		}
	}
	l.serving.Go(func() {
		if l.certificate != nil {
			_ = l.server.ServeTLS(socket, "", "") // It always ends with ErrServerClosed.
		} else {
			_ = l.server.Serve(socket)
		}
	})
	return l, nil
}

// trackConnection counts the open connections, each of which has a goroutine.
func (l *listener) trackConnection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		l.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		l.connections.Done()
	case http.StateActive, http.StateIdle:
	}
}

// close closes the listener and its connections, and waits for their
// goroutines.
func (l *listener) close() {
	_ = l.server.Close()
	l.serving.Wait()
	l.connections.Wait()
	l.client.CloseIdleConnections()
}

// useTLS gives the server a certificate that transport trusts.
func (l *listener) useTLS(clientCAs *x509.CertPool, transport *http.Transport) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "passporttest"},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if l.certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	l.server.TLSConfig = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	if clientCAs != nil {
		l.server.TLSConfig.ClientCAs = clientCAs
		l.server.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
	}
	roots := x509.NewCertPool()
	roots.AddCert(l.certificate)
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return nil
}

// Certificate returns the self-signed certificate of a Server with TLS, and nil
// for any other Server.
func (s *Server) Certificate() *x509.Certificate {
	if s.listener == nil {
		return nil
	}
	return s.listener.certificate
}
