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

// A site is where a Server listens.
type site struct {
	host        string
	server      *http.Server
	client      *http.Client
	certificate *x509.Certificate // nil without TLS

	serving     sync.WaitGroup
	connections sync.WaitGroup
}

// readHeaderTimeout is how long a client may take to send a request's header. It
// counts from the connection's beginning, and net/http's clients keep what they
// dialed in vain: were it shorter than the 90 s after which most of them give
// such a connection up, a payment could meet one that is just being closed.
const readHeaderTimeout = 2 * time.Minute

// open begins to listen.
func (s *Server) open() (*site, error) {
	listener, err := net.Listen("tcp", s.config.Addr) //nolint:noctx // Binding a loopback address does not block.
	if err != nil {
		return nil, fmt.Errorf("passporttest: %w", err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.config.HTTP2)
	transport := &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 100}
	at := &site{host: listener.Addr().String(), client: &http.Client{Transport: transport}}
	at.server = &http.Server{
		Handler:           s.Handler(),
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
		ConnState:         at.track,
	}
	if s.config.TLS {
		if err := at.secure(s.config.ClientCAs, transport); err != nil {
			_ = listener.Close()
			return nil, fmt.Errorf("passporttest: %w", err)
		}
	}
	at.serving.Go(func() {
		if at.certificate != nil {
			_ = at.server.ServeTLS(listener, "", "") // It always ends with ErrServerClosed.
		} else {
			_ = at.server.Serve(listener)
		}
	})
	return at, nil
}

// track counts the connections, each of which is a goroutine.
func (at *site) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		at.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		at.connections.Done()
	case http.StateActive, http.StateIdle:
	}
}

// close ends the listener and the connections, and waits until they are gone.
func (at *site) close() {
	_ = at.server.Close()
	at.serving.Wait()
	at.connections.Wait()
	at.client.CloseIdleConnections()
}

// secure gives the server a certificate that the transport trusts.
func (at *site) secure(clientCAs *x509.CertPool, transport *http.Transport) error {
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
	if at.certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	at.server.TLSConfig = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	if clientCAs != nil {
		at.server.TLSConfig.ClientCAs = clientCAs
		at.server.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
	}
	roots := x509.NewCertPool()
	roots.AddCert(at.certificate)
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return nil
}

// Certificate returns the certificate of a Server with TLS, which is its own
// authority, and nil for any other.
func (s *Server) Certificate() *x509.Certificate {
	if s.site == nil {
		return nil
	}
	return s.site.certificate
}
