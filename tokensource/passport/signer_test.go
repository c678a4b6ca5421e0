// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A fakeSigner is a signer like that of a KMS: its type is not *rsa.PrivateKey.
type fakeSigner struct {
	public crypto.PublicKey
	sign   func(digest []byte) ([]byte, error)
}

func (s *fakeSigner) Public() crypto.PublicKey { return s.public }

func (s *fakeSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("the hash is not SHA-256")
	}
	return s.sign(digest)
}

// signerOf returns a signer with the public key of keyOne.
func signerOf(sign func(digest []byte) ([]byte, error)) *fakeSigner {
	return &fakeSigner{&keyOne().PublicKey, sign}
}

func signWith(key *rsa.PrivateKey) func([]byte) ([]byte, error) {
	return func(digest []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest) }
}

func TestSignerKey_OtherTypes(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&keyOne().PublicKey)
	source := sourceOf(t, s.OpenIDIssuer(passport.SignerKey(signerOf(signWith(keyOne()))), accountsGroup))
	if _, err := source.Token(t.Context(), account(t, "42")); err != nil {
		t.Error(err)
	}
}

func TestSignerKey_Faults(t *testing.T) {
	for _, test := range []struct {
		name string
		sign func([]byte) ([]byte, error)
		kind tokensource.ErrorKind
		want string
	}{
		{"another key", signWith(keyTwo()), tokensource.ErrMisconfigured, "does not fit its public key"},
		{"PSS", func(digest []byte) ([]byte, error) {
			return rsa.SignPSS(rand.Reader, keyOne(), crypto.SHA256, digest, nil)
		}, tokensource.ErrMisconfigured, "does not fit its public key"},
		{"nothing", func([]byte) ([]byte, error) { return nil, nil }, tokensource.ErrMisconfigured, "does not fit its public key"},
		{"error", func([]byte) ([]byte, error) { return nil, errors.New(sentinel) }, tokensource.ErrUnavailable, "the signer failed"},
		{"explained error", func([]byte) ([]byte, error) {
			return nil, tokensource.SafeError("the KMS has no such key", nil)
		}, tokensource.ErrUnavailable, "the KMS has no such key"},
		{"its own deadline", func([]byte) ([]byte, error) { return nil, context.DeadlineExceeded }, tokensource.ErrTimeout, "the signer failed"},
		{"canceled", func([]byte) ([]byte, error) { return nil, context.Canceled }, tokensource.ErrUnavailable, "the signer failed"},
		{"tokensource.Error", func([]byte) ([]byte, error) {
			return nil, tokensource.NewError(tokensource.ErrRateLimited, nil)
		}, tokensource.ErrRateLimited, ""},
		{"goexit", func([]byte) ([]byte, error) { runtime.Goexit(); return nil, nil }, tokensource.ErrMisconfigured, "ended its goroutine"},
		{"panic", func([]byte) ([]byte, error) { panic(sentinel) }, tokensource.ErrIssuerPanic, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := passporttest.NewServer(t, passporttest.Config{})
			source := sourceOf(t, s.OpenIDIssuer(passport.SignerKey(signerOf(test.sign)), accountsGroup))
			_, err := source.Token(t.Context(), tokensource.Organization())
			wantKind(t, err, test.kind)
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q", err, test.want)
			}
			wantNoSentinel(t, test.name, err)
			if n := s.Counts().TokenRequests; n != 0 {
				t.Errorf("got %d token requests, want 0", n)
			}
		})
	}
}

// New reports a signer with an unsuitable key. It does not panic.
func TestSignerKey_UnsuitableAtStart(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, signer := range map[string]crypto.Signer{
		"EC":          curve,
		"nil pointer": (*rsa.PrivateKey)(nil),
		"no key":      &fakeSigner{},
		"nil key":     &fakeSigner{public: (*rsa.PublicKey)(nil)},
		"no modulus":  &fakeSigner{public: &rsa.PublicKey{}},
	} {
		_, err := tokensource.New(tokensource.Config{Issuer: openIDIssuer("https://pismo.example", passport.SignerKey(signer))})
		var fault *tokensource.ConfigError
		if !errors.As(err, &fault) || fault.Field != "OpenID.Key" {
			t.Errorf("%s: got error %v, want a fault of OpenID.Key", name, err)
		}
	}
}

// A signer whose key becomes unsuitable is refused while it is in use.
func TestSignerKey_BecomesUnsuitable(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := openIDIssuer("http://127.0.0.1:1", passport.SignerKey(curve))
	_, err = o.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
	if !strings.Contains(err.Error(), "not an RSA key") {
		t.Error(err)
	}
}

func TestSignerKey_RecoversAfterAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{})
		s.RegisterKey(&keyOne().PublicKey)
		var working atomic.Bool
		release := make(chan struct{})
		signer := signerOf(func(digest []byte) ([]byte, error) {
			if !working.Load() {
				<-release
			}
			return signWith(keyOne())(digest)
		})
		source := sourceOf(t, s.OpenIDIssuer(passport.SignerKey(signer), accountsGroup))
		// More calls hang than the Source has slots.
		for range 30 {
			began := time.Now()
			_, err := source.Token(t.Context(), tokensource.Organization())
			wantKind(t, err, tokensource.ErrTimeout)
			if waited := time.Since(began); waited > 10*time.Second || !strings.Contains(err.Error(), "the signer did not return") {
				t.Errorf("after %s: got error %v, want within 10s that the signer did not return", waited, err)
			}
			time.Sleep(time.Minute)
		}
		working.Store(true)
		if _, err := source.Token(t.Context(), tokensource.Organization()); err != nil {
			t.Errorf("the issuer does not recover: %v", err)
		}
		close(release)
	})
}

// The number of calls that never return is bounded.
func TestSignerKey_BoundsHangingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, calls := make(chan struct{}), make(chan struct{}, 100)
		o := openIDIssuer("http://127.0.0.1:1", passport.SignerKey(signerOf(func([]byte) ([]byte, error) {
			calls <- struct{}{}
			<-release
			return nil, errors.New("released")
		})))
		for range 70 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := o.Issue(ctx, tokensource.Organization())
			cancel()
			wantKind(t, err, tokensource.ErrTimeout)
		}
		if n := len(calls); n != 64 {
			t.Errorf("%d calls run, want 64", n)
		}
		close(release)
	})
}
