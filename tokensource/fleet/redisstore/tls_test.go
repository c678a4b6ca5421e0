// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

// An authority signs the certificates of a test.
type authority struct {
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{folder: t.TempDir()}
	a.cert, a.key = a.issue(t, "authority", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes a certificate and its key to NAME.crt and NAME.key.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.folder, name) }

// trust returns a configuration that trusts the authority.
func (a *authority) trust() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func TestStore_SpeaksTLSWithACertificate(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	a.issue(t, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	s := startRedis(t, "--port", "0", "--tls-port", "$PORT", "--tls-auth-clients", "yes",
		"--tls-cert-file", a.file("server.crt"), "--tls-key-file", a.file("server.key"), "--tls-ca-cert-file", a.file("authority.crt"))
	if s == nil {
		return
	}
	certificate, err := tls.LoadX509KeyPair(a.file("client.crt"), a.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	with := a.trust()
	with.Certificates = []tls.Certificate{certificate}
	if err := useAll(t, newStore(t, redisstore.Config{Addr: []string{s.addr}, TLS: with})); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"no TLS":          {nil, "the server closed the connection"},
		"no certificate":  {a.trust(), ""}, // The server closes the connection sooner or later.
		"other authority": {newAuthority(t).trust(), "the certificate of the server is not trusted"},
	} {
		err := useAll(t, newStore(t, redisstore.Config{Addr: []string{s.addr}, TLS: tt.config}))
		if err == nil || tt.want != "" && tokensource.SafeText(err) != tt.want {
			t.Errorf("%s: got error %v (%q), want %q", name, err, tokensource.SafeText(err), tt.want)
		}
	}
}

// A new password takes effect for new connections, without a restart.
func TestStore_ReadsItsPasswordAgain(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	config := s.allow(t, permissions)
	store := newStore(t, config)
	if err := useAll(t, store); err != nil {
		t.Fatal(err)
	}
	s.cli(t, "ACL", "SETUSER", "pismo", "resetpass", ">another")
	s.cli(t, "CLIENT", "KILL", "USER", "pismo")
	awaitError(t, "the server answers WRONGPASS", func() error { return useAll(t, store) })
	if err := os.WriteFile(config.PasswordFile, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitNil(t, func() error { return useAll(t, store) })

	if err := os.Remove(config.PasswordFile); err != nil {
		t.Fatal(err)
	}
	s.cli(t, "CLIENT", "KILL", "USER", "pismo")
	awaitError(t, "Config.PasswordFile cannot be read: no such file or directory", func() error { return useAll(t, store) })

	s.cli(t, "ACL", "SETUSER", "default", "off")
	open := newStore(t, redisstore.Config{Addr: []string{s.addr}})
	awaitError(t, "the server answers NOAUTH", func() error { return useAll(t, open) })
}

// awaitError calls until the error has the text.
func awaitError(t *testing.T, want string, call func() error) {
	t.Helper()
	awaitNil(t, func() error {
		err := call()
		if text := tokensource.SafeText(err); !strings.Contains(text, want) {
			return tokensource.SafeError("got "+text+", want "+want, err)
		}
		return nil
	})
}

func TestStore_ErrorSaysWhatTheUserMayNot(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	store := newStore(t, s.allow(t, []string{"resetkeys", "~other:*", "-@all", "+evalsha", "+eval", "+select"}))
	_, err := store.Claim(t.Context(), "p1:name", fleet.Ask{Owner: "a"})
	if text := tokensource.SafeText(err); text != "the server answers NOPERM" {
		t.Errorf("got error %v (%q), want NOPERM", err, text)
	}
}
