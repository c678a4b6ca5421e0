// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspect_ShowsFingerprint(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	fingerprint := hex.EncodeToString(sum[:])
	for want, args := range map[string][]string{
		"public key  SHA-256 " + fingerprint + "\n":                {"--key", path},
		"{\n  \"public_key_sha256\": \"" + fingerprint + "\"\n}\n": {"--key", path, "--json"},
	} {
		out, stderr, err := inspect(strings.NewReader(""), args...)
		if err != nil || out != want || stderr != "" {
			t.Errorf("%q: got %q and %q (%v), want %q", args, out, stderr, err, want)
		}
	}
}

func TestInspect_RefusesUnusableKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte("SENTINEL"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, err := inspect(strings.NewReader(""), "--key", path)
	if err == nil || !strings.Contains(err.Error(), "holds no PEM block") || strings.Contains(out+stderr+err.Error(), "SENTINEL") {
		t.Errorf("got %q and %q (%v)", out, stderr, err)
	}
}
