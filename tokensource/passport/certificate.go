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

// A ClientCertificate is the certificate that Pismo knows a client by, in two
// PEM files: the certificate with its chain, and its private key, which is not
// encrypted. It follows the files: replace them, and what is connected from then
// on presents the new certificate.
//
// Make one with [NewClientCertificate], and give what its method RoundTripper
// returns to whatever talks to Pismo: the client of an issuer, and the base of
// resource calls. The zero ClientCertificate presents nothing and says so. A
// ClientCertificate is safe for concurrent use; it has no goroutine, and
// nothing to close.
type ClientCertificate struct {
	certFile, keyFile string
	current           atomic.Pointer[keyPair]
	reading           sync.Mutex // held while the files are read again
}

// A keyPair is a certificate and the state of its files when they were read.
type keyPair struct {
	certificate       *tls.Certificate // nil if there is none
	number            uint64           // of the certificate, from 1
	certInfo, keyInfo fs.FileInfo

	// retry is set if the files could not be read in that state, and the
	// certificate is that of an earlier one.
	retry time.Time
}

// NewClientCertificate returns the certificate in two files, which may be the
// same. It reads them, and it is an error if it cannot, or if they do not
// belong together; the error, a [*tokensource.ConfigError], names them.
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
// in a tls.Config. It looks at both files, and reads them again if one of them
// has changed. As long as they are missing, half-written or do not belong
// together, it returns the last pair that did: a rotation takes a moment, and
// a botched one is no reason to go without the certificate there is.
//
// It presents the certificate whatever authorities the server names, so that
// the server says what is wrong with it. Connections that are open keep the
// certificate that they were made with; see [ClientCertificate.RoundTripper].
func (c *ClientCertificate) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate := c.latest().certificate
	if certificate == nil {
		return nil, errNoCertificate
	}
	return certificate, nil
}

// latest returns the pair in the files, or the last one that was whole.
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
		return pair // Somebody else has read it.
	}
	next := c.state() // Before they are read: what changes in between is read again.
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

// retryInterval is how often files are read again that could not be read, and
// have not changed since as far as can be seen.
const retryInterval = time.Second

// state returns a pair that has the state of the files, and nothing else.
func (c *ClientCertificate) state() *keyPair {
	certInfo, _ := os.Stat(c.certFile) // Nil where there is none.
	keyInfo, _ := os.Stat(c.keyFile)
	return &keyPair{certInfo: certInfo, keyInfo: keyInfo}
}

// isCurrent reports whether there is no need to read the files again.
func (c *ClientCertificate) isCurrent(pair *keyPair) bool {
	return isUnchanged(c.certFile, pair.certInfo) && isUnchanged(c.keyFile, pair.keyInfo) &&
		(pair.retry.IsZero() || time.Now().Before(pair.retry))
}

// isUnchanged reports whether the file at path is the one that was seen: not
// replaced by another, as a rename does, and not written to.
func isUnchanged(path string, seen fs.FileInfo) bool {
	now, err := os.Stat(path)
	if err != nil || seen == nil {
		return err != nil && seen == nil // It is still missing.
	}
	return os.SameFile(now, seen) && now.Size() == seen.Size() && now.ModTime().Equal(seen.ModTime())
}
