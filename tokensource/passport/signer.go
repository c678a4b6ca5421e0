// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// maxCalls is the number of calls of a signer, or reads of a file, that may run
// at a time. A call that does not return counts as long as it runs.
const maxCalls = 64

// validateTimeout bounds the wait for a signer's public key at the start of a
// program.
const validateTimeout = 10 * time.Second

// A signerSource is a [crypto.Signer] of the user's.
type signerSource struct {
	callee

	signer crypto.Signer
}

// validate asks the signer for its public key.
func (s *signerSource) validate() error {
	ctx, cancel := context.WithTimeout(context.Background(), validateTimeout)
	defer cancel()
	public, err := s.public(ctx)
	switch {
	case errors.Is(err, tokensource.ErrIssuerPanic):
		return faultOf("OpenID", "Key", s.name+" panics when asked for its public key; it may be a nil pointer")
	case err != nil:
		return faultOf("OpenID", "Key", s.name+" did not return its public key within 10 seconds")
	}
	if _, err := newSigningKey(s.name, s.signer, public); err != nil {
		return faultOf("OpenID", "Key", s.name+" "+err.Error())
	}
	return nil
}

// read asks the signer for its public key, since a KMS may move an alias to
// another key.
func (s *signerSource) read(ctx context.Context) (*signingKey, error) {
	public, err := s.public(ctx)
	if err != nil {
		return nil, err
	}
	key, err := newSigningKey(s.name, s.signer, public)
	if err != nil {
		return nil, keyError(s.name, err.Error(), nil)
	}
	key.callee = &s.callee
	return key, nil
}

func (s *signerSource) public(ctx context.Context) (crypto.PublicKey, error) {
	return call(ctx, s.callee, func() (crypto.PublicKey, error) { return s.signer.Public(), nil })
}

// errOtherKey is the cause of a signature that does not fit the public key.
var errOtherKey = new(otherKeyError)

type otherKeyError struct{ _ byte }

func (*otherKeyError) Error() string { return "another key" }

// sign returns the signature of message, with RSASSA-PKCS1-v1_5 and SHA-256. It
// verifies the signature.
func (k *signingKey) sign(ctx context.Context, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	sign := func() ([]byte, error) { return k.signer.Sign(rand.Reader, digest[:], crypto.SHA256) }
	var signature []byte
	var err error
	if k.callee == nil {
		signature, err = sign()
	} else {
		signature, err = call(ctx, *k.callee, sign)
	}
	if err != nil {
		return nil, signerError(k.name, err)
	}
	if rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], signature) != nil {
		return nil, keyError(k.name, "made a signature that does not fit its public key; it signs with another key, or not with RSASSA-PKCS1-v1_5 and SHA-256", errOtherKey)
	}
	return signature, nil
}

// signerError returns the error of a signer that failed. The text of err is
// shown only if tokensource.SafeError made it.
func signerError(name string, err error) error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) {
		err = notCanceled(err) // The signer's own: it has no context of ours.
	}
	kind := tokensource.ErrUnavailable
	if errors.Is(err, context.DeadlineExceeded) {
		kind = tokensource.ErrTimeout
	}
	return tokensource.NewError(kind, errors.Join(tokensource.SafeError("OpenID.Key: "+name+" failed", nil), err))
}

// A called is the end of a call: a result, or a panic.
type called[T any] struct {
	value    T
	err      error
	panicked any
	returned bool
}

// A callee is called by functions without a context. It may hang.
type callee struct {
	name  string        // for errors
	hung  string        // what the error says of a call that does not return
	calls chan struct{} // has an element for each running call
}

// call calls f, which has no context, on a goroutine of its own, and returns
// its result. A panic becomes an error. If f does not return, call leaves it
// behind shortly before the deadline of ctx, so that its error reaches the
// caller.
func call[T any](ctx context.Context, to callee, f func() (T, error)) (T, error) {
	var none T
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/10))
		defer cancel()
	}
	select {
	case to.calls <- struct{}{}:
	case <-ctx.Done():
		return none, to.abandoned(ctx)
	}
	result := make(chan called[T], 1)
	go func() {
		var c called[T]
		defer func() {
			if !c.returned {
				c.panicked = recover()
			}
			<-to.calls
			result <- c
		}()
		c.value, c.err = f()
		c.returned = true
	}()
	select {
	case c := <-result:
		switch {
		case c.panicked != nil:
			cause := fmt.Errorf("panic: %v", c.panicked)
			return none, tokensource.NewError(tokensource.ErrIssuerPanic, tokensource.SafeError(to.name+" panicked", cause))
		case !c.returned: // The signer has called runtime.Goexit.
			return none, keyError(to.name, "ended its goroutine", nil)
		}
		return c.value, c.err
	case <-ctx.Done():
		return none, to.abandoned(ctx)
	}
}

// abandoned returns the error of a call that did not return in time.
func (c callee) abandoned(ctx context.Context) error {
	kind := tokensource.ErrTimeout
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = tokensource.ErrCanceled
	}
	return tokensource.NewError(kind, errors.Join(tokensource.SafeError(c.name+" "+c.hung, nil), ctx.Err()))
}
