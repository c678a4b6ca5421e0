// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// An authority signs certificates of clients.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// write writes a certificate with a serial number, and its key, to a folder. It
// replaces existing files.
func (a *authority) write(dir string, serial int64) {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	replace(a.t, filepath.Join(dir, "client.pem"), &pem.Block{Type: "CERTIFICATE", Bytes: cert})
	replace(a.t, filepath.Join(dir, "client.key"), &pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func replace(t *testing.T, file string, block *pem.Block) {
	t.Helper()
	if err := os.WriteFile(file+".new", pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// newTLSFixture starts a fake server with https. It writes the server's
// certificate to $SECRETS/ca.pem.
func newTLSFixture(t *testing.T, config passporttest.Config) *fixture {
	t.Helper()
	config.TLS = true
	s := newFixture(t, config)
	replace(t, filepath.Join(s.secrets, "ca.pem"), &pem.Block{Type: "CERTIFICATE", Bytes: s.pismo.Certificate().Raw})
	return s
}

// New files replace the certificate.
func TestCertificate_ServesBothCalls(t *testing.T) {
	for _, versions := range []string{"1.1", "1.1 2"} {
		t.Run(versions, func(t *testing.T) {
			a := newAuthority(t)
			var seen atomic.Int64
			resource := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen.Store(r.TLS.PeerCertificates[0].SerialNumber.Int64())
				w.Header().Set("X-Proto", r.Proto)
			})
			s := newTLSFixture(t, passporttest.Config{ClientCAs: a.pool(), HTTP2: versions == "1.1 2", Resource: resource})
			a.write(s.secrets, 11)
			s.start(s.caddyfile("client_certificate $SECRETS/client.pem $SECRETS/client.key\n trusted_ca_certs $SECRETS/ca.pem", `pismo_proxy $URL {
				account `+alice+`
				transport pismo {
					tls_trust_pool file $SECRETS/ca.pem
					versions `+versions+`
					keepalive off
				}
			}`))
			r := s.get(alice)
			wantStatus(t, r, http.StatusOK)
			if seen.Load() != 11 {
				t.Errorf("certificate %d was presented, want 11", seen.Load())
			}
			a.write(s.secrets, 12)
			wantStatus(t, s.get(alice), http.StatusOK)
			if versions == "1.1" && seen.Load() != 12 {
				t.Errorf("certificate %d was presented, want 12", seen.Load())
			}
			if versions != "1.1" && r.header.Get("X-Proto") != "HTTP/2.0" {
				t.Errorf("the upstream got a request in %s", r.header.Get("X-Proto"))
			}
		})
	}
}

func TestCertificate_TransportOverridesClient(t *testing.T) {
	a := newAuthority(t)
	var seen atomic.Int64
	resource := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen.Store(r.TLS.PeerCertificates[0].SerialNumber.Int64())
	})
	s := newTLSFixture(t, passporttest.Config{ClientCAs: a.pool(), Resource: resource})
	a.write(s.secrets, 11)
	own := t.TempDir()
	a.write(own, 21)
	s.start(s.caddyfile("client_certificate $SECRETS/client.pem $SECRETS/client.key\n trusted_ca_certs $SECRETS/ca.pem", `pismo_proxy $URL {
		account `+alice+`
		transport pismo {
			tls_trust_pool file $SECRETS/ca.pem
			tls_client_auth `+own+`/client.pem `+own+`/client.key
		}
	}`))
	wantStatus(t, s.get(alice), http.StatusOK)
	if seen.Load() != 21 {
		t.Errorf("certificate %d was presented, want 21", seen.Load())
	}
}

// TLS proves the server name, for any dialed address.
func TestUpstream_IsNamedByCertificate(t *testing.T) {
	s := newTLSFixture(t, passporttest.Config{})
	const client = "trusted_ca_certs $SECRETS/ca.pem\n hosts localhost"
	s.start(s.caddyfile(client, `pismo_proxy $URL {
		account `+alice+`
		transport pismo {
			tls_trust_pool file $SECRETS/ca.pem
			tls_server_name localhost
		}
	}`))
	wantStatus(t, s.get(alice), http.StatusOK) // The fake server's certificate is also for localhost.
}

// A gateway in front of many hosts forwards a request by its Host.
func TestHost_OfClientGetsNoToken(t *testing.T) {
	s := newTLSFixture(t, passporttest.Config{})
	s.start(s.caddyfile("trusted_ca_certs $SECRETS/ca.pem", `pismo_proxy $URL {
		account `+alice+`
		header_up Host {http.request.header.X-Name}
		transport pismo {
			tls_trust_pool file $SECRETS/ca.pem
		}
	}`))
	wantStatus(t, s.get(alice, withField("X-Name", s.pismo.Host())), http.StatusOK)
	before := s.pismo.Counts().ResourceRequests
	wantProblem(t, s.get(alice, withField("X-Name", "evil.example")), http.StatusInternalServerError, "misconfigured")
	if n := s.pismo.Counts().ResourceRequests; n != before {
		t.Errorf("the upstream got %d requests, want %d", n, before)
	}
}

func TestServerName_IsCheckedPerRequest(t *testing.T) {
	s := newTLSFixture(t, passporttest.Config{})
	s.start(s.caddyfile("trusted_ca_certs $SECRETS/ca.pem\n hosts localhost", `pismo_proxy $URL {
		account `+alice+`
		transport pismo {
			tls_trust_pool file $SECRETS/ca.pem
			tls_server_name {http.request.header.X-Name}
			keepalive off
		}
	}`))
	wantStatus(t, s.get(alice, withField("X-Name", "localhost")), http.StatusOK)
	wantProblem(t, s.get(alice, withField("X-Name", "evil.example")), http.StatusInternalServerError, "misconfigured")
}

func TestUpstream_LoopbackMayBeUnverified(t *testing.T) {
	s := newTLSFixture(t, passporttest.Config{})
	s.start(s.caddyfile("trusted_ca_certs $SECRETS/ca.pem", `pismo_proxy $URL {
		account `+alice+`
		transport pismo {
			tls_insecure_skip_verify
		}
	}`))
	wantStatus(t, s.get(alice), http.StatusOK)
}

func TestCertificate_NotSupportedForHTTP3(t *testing.T) {
	a := newAuthority(t)
	s := newFixture(t, passporttest.Config{})
	a.write(s.secrets, 11)
	t.Cleanup(func() { _ = caddy.Stop() })
	err := load(s.caddyfile("client_certificate $SECRETS/client.pem $SECRETS/client.key\n hosts sandbox.pismolabs.io", `pismo_proxy https://sandbox.pismolabs.io {
		account `+alice+`
		transport pismo {
			versions 3
		}
	}`))
	if want := "client main: versions: HTTP/3 cannot present client_certificate: set tls_client_auth, or versions 1.1 2"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// The unix socket belongs to a gateway on this machine, which uses TLS for the
// connection to the platform.
func TestHosts_ListedUnixSocketGetsToken(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	socket := filepath.Join(t.TempDir(), "s")
	serve(t, listen(t, "unix", socket), s.pismo.Handler())
	s.start(s.caddyfile("hosts localhost", "pismo_proxy unix/"+socket+" {\n account "+alice+"\n}"))
	wantStatus(t, s.get(alice), http.StatusOK)
}
