// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A Key is the RSA key that signs the assertions of an [OpenID], and, while a
// rotation waits for its approval, the key that follows. Make a Key with
// [FileKey] or [SignerKey]. The zero Key is not set. Copies of a Key share its
// state. A Key is safe for concurrent use.
//
// Printed, logged or marshalled, a Key shows nothing.
type Key struct {
	// Behind a pointer: fmt prints no private key from an unexported field.
	keys *keyring
}

// FileKey returns the key in a PEM file. The file is read for each token
// request, so that a running program picks up a new key. To replace the file,
// rename a new file over it: otherwise it could be read half-written.
//
// The file holds one RSA private key of at least 2048 bits, as PKCS #8 or
// PKCS #1, not encrypted, in at most 8 KiB. Everything else is refused with a
// reason.
//
// The files in next are for a rotation. Pismo may take hours to approve a new
// public key, and may withdraw the old key at any time. If the token endpoint
// answers 401 to the key of one file, or if that file cannot be used,
// [OpenID.Issue] tries the key of the next, and remembers the key that works.
// FileKey returns the zero Key if a path is empty.
func FileKey(path string, next ...string) Key {
	paths := append([]string{path}, next...)
	if slices.Contains(paths, "") {
		return Key{}
	}
	ring := new(keyring)
	for _, path := range paths {
		ring.sources = append(ring.sources, &keyFile{file: newFileReader(path, maxKeyFile, errLargeKeyFile)})
	}
	return Key{ring}
}

// SignerKey returns the key behind a [crypto.Signer], such as a key in a KMS,
// in an HSM, or behind PKCS #11. The signer gets SHA-256 digests, with
// crypto.SHA256 as its options, and must sign them with RSASSA-PKCS1-v1_5. Its
// public key is an RSA key of at least 2048 bits. The signers in next are for a
// rotation, as in [FileKey]. SignerKey returns the zero Key if a signer is nil.
//
// A signer must be safe for concurrent use. It has no context: a call that does
// not return is left behind, and at most 64 such calls run at a time. Its error
// is shown only if [tokensource.SafeError] made it. Each signature is verified
// with the public key, so that an alias that moved to another key is
// ErrMisconfigured and not a refused key.
func SignerKey(signer crypto.Signer, next ...crypto.Signer) Key {
	signers := append([]crypto.Signer{signer}, next...)
	if slices.Contains(signers, nil) {
		return Key{}
	}
	ring := new(keyring)
	for i, signer := range signers {
		name := "the signer"
		if len(signers) > 1 {
			name = "signer " + strconv.Itoa(i+1)
		}
		ring.sources = append(ring.sources, &signerSource{callee: callee{name, "did not return", make(chan struct{}, maxCalls)}, signer: signer})
	}
	return Key{ring}
}

// Check reads all keys once. It returns nil, or every fault, joined by
// errors.Join. Each fault is a [*tokensource.Error] that names the file. Call
// it at the start of a program. A file for a rotation that is missing is a
// fault too.
func (k Key) Check(ctx context.Context) error {
	if k.keys == nil {
		return faultOf("OpenID", "Key", "is not set; use FileKey or SignerKey, with an argument that is not empty")
	}
	_, faults := k.keys.read(ctx)
	return errors.Join(faults...)
}

// Fingerprints returns the SHA-256 fingerprints of the public keys that can be
// read, in hexadecimal: of the key that is used first, and then of the others.
// It returns an error if no key can be read. To compare, run
//
//	openssl pkey -in key.pem -pubout -outform DER | sha256sum
func (k Key) Fingerprints(ctx context.Context) ([]string, error) {
	if k.keys == nil {
		return nil, k.Check(ctx)
	}
	keys, err := k.keys.load(ctx)
	if err != nil {
		return nil, err
	}
	var fingerprints []string
	for _, key := range keys {
		fingerprints = append(fingerprints, hex.EncodeToString(key.fingerprint[:]))
	}
	return fingerprints, nil
}

// Format implements [fmt.Formatter]: it prints nothing of the key.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON implements [json.Marshaler].
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// A keySource is the place of a key.
type keySource interface {
	// read returns the key. The error is a [*tokensource.Error].
	read(ctx context.Context) (*signingKey, error)
	// validate returns the faults that can be found without reading a file.
	validate() error
}

// A keyring has the keys of a [Key], and remembers which of them worked.
type keyring struct {
	sources []keySource
	worked  atomic.Int32 // the index of the source whose key worked last
}

func (r *keyring) validate() error {
	var faults []error
	for _, source := range r.sources {
		faults = append(faults, source.validate())
	}
	return errors.Join(faults...)
}

// inOrder returns the sources, beginning with the one whose key worked last.
func (r *keyring) inOrder() []keySource {
	first := int(r.worked.Load())
	rest := slices.Delete(slices.Clone(r.sources), first, first+1)
	return append([]keySource{r.sources[first]}, rest...)
}

// prefer makes a source the first.
func (r *keyring) prefer(source keySource) {
	r.worked.Store(int32(slices.Index(r.sources, source))) //nolint:gosec // There are few sources.
}

// read reads all sources at once. It returns the different keys that can be
// read, in the order of the sources, and the faults of the others.
func (r *keyring) read(ctx context.Context) (keys []*signingKey, faults []error) {
	sources := r.inOrder()
	type result struct {
		key *signingKey
		err error
	}
	results := make([]result, len(sources))
	var all sync.WaitGroup
	for i, source := range sources {
		all.Go(func() { results[i].key, results[i].err = source.read(ctx) })
	}
	all.Wait()
	for _, r := range results {
		switch {
		case r.err != nil:
			faults = append(faults, r.err)
		case !slices.ContainsFunc(keys, r.key.equal):
			keys = append(keys, r.key)
		}
	}
	return keys, faults
}

// load returns the keys that can be read, beginning with the key that worked
// last. It returns the first fault if no key can be read.
func (r *keyring) load(ctx context.Context) ([]*signingKey, error) {
	keys, faults := r.read(ctx)
	if len(keys) == 0 {
		return nil, faults[0]
	}
	return keys, nil
}

// A signingKey is a key that is suitable for assertions.
type signingKey struct {
	name        string // for errors: the file or the signer
	signer      crypto.Signer
	public      *rsa.PublicKey
	fingerprint [sha256.Size]byte // of the public key's SubjectPublicKeyInfo
	callee      *callee           // nil: the signer is in memory, and returns
}

func (k *signingKey) equal(other *signingKey) bool { return k.fingerprint == other.fingerprint }

func (k *signingKey) shortFingerprint() string { return hex.EncodeToString(k.fingerprint[:8]) }

// The bounds of the modulus in bits. Pismo's pages make keys of 2048 bits.
const minKeyBits = 2048

// newSigningKey returns the key of a signer. The error says why the key is not
// suitable.
func newSigningKey(name string, signer crypto.Signer, public crypto.PublicKey) (*signingKey, error) {
	key, ok := public.(*rsa.PublicKey)
	switch {
	case !ok || key == nil || key.N == nil:
		return nil, errors.New("is not an RSA key; make one with openssl genrsa")
	case key.N.BitLen() < minKeyBits:
		return nil, fmt.Errorf("is an RSA key of %d bits; it needs at least %d", key.N.BitLen(), minKeyBits)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, errors.New("has a public key that cannot be encoded")
	}
	return &signingKey{name: name, signer: signer, public: key, fingerprint: sha256.Sum256(der)}, nil
}

// keyError returns the error of a key that cannot be used.
func keyError(name, reason string, cause error) *tokensource.Error {
	return tokensource.NewError(tokensource.ErrMisconfigured, tokensource.SafeError("OpenID.Key: "+name+" "+reason, cause))
}
