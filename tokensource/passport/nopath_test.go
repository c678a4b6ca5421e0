// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"crypto"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A program may pass the content of a variable in the place of a path.
func TestFile_PathMayBeASecret(t *testing.T) {
	secret := pkcs8(t, keyOne())
	hidden := strings.Split(secret, "\n")[1]
	_, fileErr := passport.File(secret)(t.Context())
	_, longErr := passport.File(strings.Repeat("secret", 200))(t.Context())
	for name, err := range map[string]error{
		"key":    passport.FileKey(secret).Check(t.Context()),
		"issuer": openIDIssuer("https://a.example", passport.FileKey(secret)).Key.Check(t.Context()),
		"secret": fileErr,
		"long":   longErr,
	} {
		text := fmt.Sprintf("%v %+v %#v", err, err, err)
		if err == nil || strings.Contains(text, hidden) || strings.Contains(text, "secretsecret") {
			t.Errorf("%s: got %s, want an error without the secret", name, text)
		}
	}
}

// A hangingSigner does not return its public key.
type hangingSigner struct{ release chan struct{} }

func (s hangingSigner) Public() crypto.PublicKey { <-s.release; return nil }

func (s hangingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

// A key store that cannot be reached must not keep a program from starting with
// an error, nor a Caddy from keeping its configuration.
func TestSignerKey_HangsAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hangingSigner{make(chan struct{})}
		err := openIDIssuer("https://a.example", passport.SignerKey(s)).Validate()
		close(s.release)
		if err == nil || !strings.Contains(err.Error(), "did not return its public key") {
			t.Errorf("got %v, want an error that names the signer", err)
		}
	})
}
