// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A key that fails in any way does not keep the next key from being used, and
// is not tried again first.
func TestSignerKey_NextKeyServesForAnyFault(t *testing.T) {
	for name, sign := range map[string]func([]byte) ([]byte, error){
		"fails":         func([]byte) ([]byte, error) { return nil, errors.New("no session") },
		"is throttled":  func([]byte) ([]byte, error) { return nil, tokensource.NewError(tokensource.ErrRateLimited, nil) },
		"hangs":         func([]byte) ([]byte, error) { time.Sleep(time.Hour); return nil, errors.New("late") },
		"panics":        func([]byte) ([]byte, error) { panic("session") },
		"signs wrongly": signWith(keyTwo()),
		"is refused":    signWith(keyOne()), // The server knows the other key only.
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := passporttest.NewInProcess(t, passporttest.Config{})
				s.RegisterKey(&keyTwo().PublicKey)
				var calls atomic.Int64
				bad := signerOf(func(digest []byte) ([]byte, error) {
					calls.Add(1)
					return sign(digest)
				})
				source := sourceOf(t, s.OpenIDIssuer(passport.SignerKey(bad, keyTwo()), accountsGroup))
				for _, id := range []string{"1", "2", "3"} {
					began := time.Now()
					if _, err := source.Token(t.Context(), account(t, id)); err != nil {
						t.Errorf("the next key does not serve: %v", err)
					}
					if waited := time.Since(began); waited > 6*time.Second || id != "1" && waited > time.Second {
						t.Errorf("account %s waited %v", id, waited)
					}
				}
				if n := calls.Load(); n < 1 || n > 2 {
					t.Errorf("the bad key was tried %d times, want once, or twice at first", n)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// If no key works, the error is that of the first 401, or else of the first
// key.
func TestSignerKey_FirstFaultIsTold(t *testing.T) {
	fails := signerOf(func([]byte) ([]byte, error) { return nil, tokensource.SafeError("the KMS has no such key", nil) })
	for name, tt := range map[string]struct {
		key  passport.Key
		kind tokensource.ErrorKind
		want string
	}{
		"two faults":          {passport.SignerKey(fails, signerOf(signWith(keyTwo()))), tokensource.ErrUnavailable, "the KMS has no such key"},
		"a fault, then a 401": {passport.SignerKey(fails, keyOne()), tokensource.ErrCredentialsRejected, "the key was refused"},
		"a 401, then a fault": {passport.SignerKey(keyOne(), fails), tokensource.ErrCredentialsRejected, "the key was refused"},
	} {
		s := passporttest.NewServer(t, passporttest.Config{})
		_, err := sourceOf(t, s.OpenIDIssuer(tt.key, accountsGroup)).Token(t.Context(), tokensource.Organization())
		wantKind(t, err, tt.kind)
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %q, want %q", name, err, tt.want)
		}
	}
}

// A caller that leaves does not make the next key sign.
func TestSignerKey_LeavingTriesNoOtherKey(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	first := signerOf(func([]byte) ([]byte, error) { leave(); return nil, errors.New("late") })
	second := signerOf(func([]byte) ([]byte, error) { t.Error("the next key signs"); return nil, errors.New("unused") })
	o := openIDIssuer("http://127.0.0.1:1", passport.SignerKey(first, second))
	if _, err := o.Issue(ctx, tokensource.Organization()); err == nil {
		t.Error("a token was issued")
	}
}

// A movingSigner moves to another key after it was asked for its public key,
// like an alias in a KMS.
type movingSigner struct {
	keys  []crypto.Signer
	asked atomic.Int64
}

func (m *movingSigner) Public() crypto.PublicKey {
	n := min(int(m.asked.Add(1)), len(m.keys)) - 1
	return m.keys[n].Public()
}

func (m *movingSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	n := min(int(m.asked.Load()), len(m.keys)-1)
	return m.keys[n].Sign(random, digest, opts)
}

func TestSignerKey_MovesWhileItSigns(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&keyTwo().PublicKey)
	signer := &movingSigner{keys: []crypto.Signer{keyOne(), keyTwo()}}
	if _, err := s.OpenIDIssuer(passport.SignerKey(signer), accountsGroup).Issue(t.Context(), tokensource.Organization()); err != nil {
		t.Errorf("the key moved while it signed: %v", err)
	}
}

// A file that cannot be read again is refused at once, with a reason.
func TestFile_RefusesWhatIsNoFile(t *testing.T) {
	path := namedPipe(t)
	if path == "" {
		return
	}
	_, err := openIDIssuer("http://127.0.0.1:1", passport.FileKey(path)).Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
	if !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("got error %q, want that it is not a regular file", err)
	}
	if _, err := passport.File(path)(t.Context()); err == nil || !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("got error %v, want that it is not a regular file", err)
	}
}
