// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// serveTLS starts a server with a certificate for example.com, which requires a
// client certificate. It returns the address, a file with the certificate, a
// file with the certificate's key, and the result of each handshake.
func serveTLS(t *testing.T) (address, certFile, keyFile string, handshakes <-chan error) {
	t.Helper()
	made := httptest.NewUnstartedServer(nil)
	made.StartTLS()
	pair := made.TLS.Certificates[0]
	made.Close()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	results := make(chan error, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12})
			results <- server.HandshakeContext(context.WithoutCancel(t.Context()))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String(), certFile, keyFile, results
}

// The server's certificate is verified, and the client's is presented.
func TestTLS_VerifiesServer(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*TLS)
		want  bool
	}{
		"well":               {func(*TLS) {}, true},
		"an unknown issuer":  {func(o *TLS) { o.TrustedCACerts = nil }, false},
		"another name":       {func(o *TLS) { o.ServerName = "other.example" }, false},
		"without our own":    {func(o *TLS) { o.CertificateFile, o.KeyFile = "", "" }, false},
		"the address's name": {func(o *TLS) { o.ServerName = "" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			address, certFile, keyFile, handshakes := serveTLS(t)
			options := &TLS{ServerName: "example.com", TrustedCACerts: []string{certFile}, CertificateFile: certFile, KeyFile: keyFile}
			test.spoil(options)
			store, key, err := connect(&Store{Address: []string{address}, TLS: options})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			go func() { _, _ = store.Claim(ctx, "p1:x", fleet.Ask{Owner: "a"}) }()
			if err := <-handshakes; (err == nil) != test.want {
				t.Errorf("the handshake ended with %v, want success: %v", err, test.want)
			}
			if err := disconnect(key); err != nil {
				t.Error(err)
			}
		})
	}
}
