// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// makePair returns a self-signed client certificate with a serial number, and
// its private key, both in PEM.
func makePair(serial int64) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = certify(key, serial)
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}

func certify(key *ecdsa.PrivateKey, serial int64) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), err
}

// renewed returns another certificate for a private key.
func renewed(t *testing.T, keyPEM []byte, serial int64) []byte {
	t.Helper()
	block, _ := pem.Decode(keyPEM)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certify(key.(*ecdsa.PrivateKey), serial)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newPair(t *testing.T, serial int64) (certPEM, keyPEM []byte) {
	t.Helper()
	certPEM, keyPEM, err := makePair(serial)
	if err != nil {
		t.Fatal(err)
	}
	return certPEM, keyPEM
}

// writeExampleCertificate does in an example what newPairOnDisk does in a test.
func writeExampleCertificate(certFile, keyFile string) {
	cert, key, err := makePair(1)
	if err := errors.Join(err, os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		panic(err)
	}
}

// A pairOnDisk is a certificate and its key in two files.
type pairOnDisk struct{ certFile, keyFile string }

func newPairOnDisk(t *testing.T, serial int64) pairOnDisk {
	t.Helper()
	dir := t.TempDir()
	p := pairOnDisk{filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")}
	cert, key := newPair(t, serial)
	replace(t, p.certFile, cert)
	replace(t, p.keyFile, key)
	return p
}

// replace replaces the file at path with a rename, as certificate managers do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// presented returns the serial number of the certificate that c presents.
func presented(t *testing.T, c *passport.ClientCertificate) int64 {
	t.Helper()
	certificate, err := c.GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return certificate.Leaf.SerialNumber.Int64()
}

func newClientCertificate(t *testing.T, files pairOnDisk) *passport.ClientCertificate {
	t.Helper()
	c, err := passport.NewClientCertificate(files.certFile, files.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
