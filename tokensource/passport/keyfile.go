// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"sync"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A keyFile is a PEM file with a private key.
type keyFile struct {
	file *fileReader

	mu      sync.Mutex
	content [sha256.Size]byte // of the file when key was parsed
	key     *signingKey
}

// maxKeyFile is the size in bytes of the largest key file. A key of 8192 bits
// has 6.4 KiB.
const maxKeyFile = 8 << 10

var errLargeKeyFile = errors.New("it is larger than 8 KiB")

func (f *keyFile) validate() error { return nil }

// read reads the file. It parses the content only if it has changed: the checks
// of an RSA key take as long as a signature.
func (f *keyFile) read(ctx context.Context) (*signingKey, error) {
	name := f.file.name
	content, err := f.file.read(ctx)
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return nil, e // The read did not end.
	}
	if err != nil {
		reason, cause := f.file.reason(err)
		return nil, keyError(name, reason, cause)
	}
	sum := sha256.Sum256(content)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != nil && f.content == sum {
		return f.key, nil
	}
	private, err := parsePrivateKey(content)
	if err != nil {
		return nil, keyError(name, err.Error(), nil)
	}
	key, err := newSigningKey(name, private, private.Public())
	if err != nil {
		return nil, keyError(name, err.Error(), nil)
	}
	f.content, f.key = sum, key
	return key, nil
}

// The reasons why a PEM file is refused. They hold no part of the file.
var (
	errNoPEM        = errors.New("holds no PEM block, or is cut off; it must begin with -----BEGIN PRIVATE KEY-----")
	errSeveralPEM   = errors.New("holds more than one PEM block; put one private key into it and nothing else")
	errEncrypted    = errors.New("holds an encrypted key; decrypt it with openssl pkey, and protect the file by its mode")
	errNotRSA       = errors.New("holds a key that is not RSA; make one with openssl genrsa")
	errPublic       = errors.New("holds a public key or a certificate; use the private key")
	errOpenSSH      = errors.New("holds a key in the format of OpenSSH; convert it with ssh-keygen -p -m PEM")
	errNotAKey      = errors.New("holds a PEM block that is not a private key")
	errUnparsable   = errors.New("holds a damaged key, or a key that is not RSA")
	byteOrderMark   = []byte("\xef\xbb\xbf")
	pemBegin        = []byte("-----BEGIN ")
	procTypeHeader  = "Proc-Type"
	encryptedMarker = "ENCRYPTED"
)

// parsePrivateKey returns the RSA private key in a PEM file.
func parsePrivateKey(content []byte) (*rsa.PrivateKey, error) {
	content = bytes.TrimPrefix(content, byteOrderMark)
	block, _ := pem.Decode(content)
	switch begins := bytes.Count(content, pemBegin); {
	case block == nil:
		return nil, errNoPEM
	case begins > 1:
		return nil, severalBlocks(content)
	}
	return privateKeyOf(block)
}

// severalBlocks returns the reason to refuse a file with several blocks. Some
// tools write the parameters of an EC key as a block of its own.
func severalBlocks(content []byte) error {
	if bytes.Contains(content, []byte("-----BEGIN EC ")) {
		return errNotRSA
	}
	return errSeveralPEM
}

func privateKeyOf(block *pem.Block) (*rsa.PrivateKey, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers[procTypeHeader], encryptedMarker) {
		return nil, errEncrypted
	}
	var key crypto.PrivateKey
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY", "EC PARAMETERS", "DSA PRIVATE KEY":
		return nil, errNotRSA
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errPublic
	case "OPENSSH PRIVATE KEY":
		return nil, errOpenSSH
	default:
		return nil, errNotAKey
	}
	if err != nil {
		return nil, errUnparsable
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errNotRSA
	}
	return private, nil
}
