// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A ClientCertificate is a client certificate in two PEM files. One file has
// the certificate with its chain, the other its private key, which is not
// encrypted. If the files are replaced, new connections present the new
// certificate.
//
// Make a ClientCertificate with [NewClientCertificate]. Use its RoundTripper
// for all requests to Pismo: in the Client of an issuer, and as the base of a
// transport. The zero ClientCertificate has no certificate: connections to a
// server that asks for a certificate fail. A ClientCertificate is safe for
// concurrent use. It has no goroutine, and needs no Close.
type ClientCertificate struct {
	certFile, keyFile string
	current           atomic.Pointer[keyPair]
	reading           sync.Mutex // held during reads of the files
}

// A keyPair is a certificate and the state of its files when they were read.
type keyPair struct {
	certificate       *tls.Certificate // nil if there is none
	number            uint64           // counts certificates, from 1
	certInfo, keyInfo fs.FileInfo

	// retry is set if the files in this state could not be read. The
	// certificate is then that of an earlier state.
	retry time.Time
}

// NewClientCertificate returns the certificate in two files, which may be the
// same file. It reads the files. It returns a [*tokensource.ConfigError] that
// names them if they cannot be read, or if key and certificate do not match.
func NewClientCertificate(certFile, keyFile string) (*ClientCertificate, error) {
	c := &ClientCertificate{certFile: certFile, keyFile: keyFile}
	pair := c.state()
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, &tokensource.ConfigError{Field: "ClientCertificate", Reason: certFile + " and " + keyFile + ": " + err.Error()}
	}
	pair.certificate, pair.number = &certificate, 1
	c.current.Store(pair)
	return c, nil
}

var errNoCertificate = errors.New("pismoauth: ClientCertificate: make one with NewClientCertificate")

// GetClientCertificate returns the certificate, for the field of the same name
// in a tls.Config. It checks both files, and reads them again if either has
// changed. While they are missing, half-written or do not match, it returns the
// last certificate that it could read. So a rotation may take time, and a
// failed rotation does not stop requests.
//
// It returns the certificate for all certificate authorities that a server may
// name, so that the server reports the fault of a certificate that it refuses.
// Open connections keep their certificate; see
// [ClientCertificate.RoundTripper].
func (c *ClientCertificate) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate := c.latest().certificate
	if certificate == nil {
		return nil, errNoCertificate
	}
	return certificate, nil
}

// latest returns the pair in the files, or the last pair that could be read.
func (c *ClientCertificate) latest() *keyPair {
	pair := c.current.Load()
	if pair == nil {
		return new(keyPair)
	}
	if c.isCurrent(pair) {
		return pair
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if pair = c.current.Load(); c.isCurrent(pair) {
		return pair // Another goroutine has read the files.
	}
	// Get the state before reading: a change in between is then read again.
	next := c.state()
	next.certificate, next.number = pair.certificate, pair.number
	certificate, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	switch {
	case err != nil:
		next.retry = time.Now().Add(retryInterval)
	case !slices.EqualFunc(certificate.Certificate, pair.certificate.Certificate, bytes.Equal):
		next.certificate, next.number = &certificate, pair.number+1
	}
	c.current.Store(next)
	return next
}

// retryInterval is the time after which files that could not be read are read
// again, even if their state has not changed.
const retryInterval = time.Second

// state returns a pair with the state of the files and without a certificate.
func (c *ClientCertificate) state() *keyPair {
	certInfo, _ := os.Stat(c.certFile) // Nil if the file is missing.
	keyInfo, _ := os.Stat(c.keyFile)
	return &keyPair{certInfo: certInfo, keyInfo: keyInfo}
}

// isCurrent reports whether the files need not be read again.
func (c *ClientCertificate) isCurrent(pair *keyPair) bool {
	return isUnchanged(c.certFile, pair.certInfo) && isUnchanged(c.keyFile, pair.keyInfo) &&
		(pair.retry.IsZero() || time.Now().Before(pair.retry))
}

// isUnchanged reports whether the file at path still has the state seen. A
// rename over the file changes its state, and so does a write to it.
func isUnchanged(path string, seen fs.FileInfo) bool {
	now, err := os.Stat(path)
	if err != nil || seen == nil {
		return err != nil && seen == nil // The file is still missing.
	}
	return os.SameFile(now, seen) && now.Size() == seen.Size() && now.ModTime().Equal(seen.ModTime())
}
