package passport

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A ClientCertificate is the certificate that Pismo knows a client by, in two
// PEM files: the certificate with its chain, and its private key, which is not
// encrypted. It follows the files: replace them, and the next handshake
// presents the new certificate, while connections that are open keep the one
// they were made with.
//
// Make one with [NewClientCertificate], and give its method to the tls.Config
// of whatever talks to Pismo: the client of an issuer, and that of resource
// calls. The zero ClientCertificate presents nothing and says so. A
// ClientCertificate is safe for concurrent use; it has no goroutine, and
// nothing to close.
type ClientCertificate struct {
	certFile, keyFile string
	current           atomic.Pointer[keyPair]
}

// A keyPair is a certificate and the state of its files when it was read.
type keyPair struct {
	certificate       *tls.Certificate
	certInfo, keyInfo fs.FileInfo
}

// NewClientCertificate returns the certificate in two files, which may be the
// same. It reads them, and it is an error if it cannot, or if they do not
// belong together; the error, a [*tokensource.ConfigError], names them.
func NewClientCertificate(certFile, keyFile string) (*ClientCertificate, error) {
	c := &ClientCertificate{certFile: certFile, keyFile: keyFile}
	pair, err := c.load()
	if err != nil {
		return nil, &tokensource.ConfigError{Field: "ClientCertificate", Reason: certFile + " and " + keyFile + ": " + err.Error()}
	}
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
// the server says what is wrong with it.
func (c *ClientCertificate) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair := c.current.Load()
	if pair == nil {
		return nil, errNoCertificate
	}
	if c.unchanged(pair) {
		return pair.certificate, nil
	}
	next, err := c.load()
	if err != nil {
		return pair.certificate, nil //nolint:nilerr // The last good pair serves on; the next handshake tries again.
	}
	// Two handshakes may both come here, and the older pair be the one that is
	// stored: its files have changed since, so that the next one reads again.
	c.current.Store(next)
	return next.certificate, nil
}

// load reads both files. It notes their state before it does: what changes in
// between is read again.
func (c *ClientCertificate) load() (*keyPair, error) {
	certInfo, err := os.Stat(c.certFile)
	if err != nil {
		return nil, err
	}
	keyInfo, err := os.Stat(c.keyFile)
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	return &keyPair{&certificate, certInfo, keyInfo}, nil
}

// unchanged reports whether the files are those that pair was read from.
func (c *ClientCertificate) unchanged(pair *keyPair) bool {
	return isStill(c.certFile, pair.certInfo) && isStill(c.keyFile, pair.keyInfo)
}

// isStill reports whether the file at path is the one that was seen: not
// replaced by another, as a rename does, and not written to.
func isStill(path string, seen fs.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(now, seen) && now.Size() == seen.Size() && now.ModTime().Equal(seen.ModTime())
}
