// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

func TestFileKey_Files(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	one := keyOne()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, _ := x509.MarshalECPrivateKey(curve)
	public, _ := x509.MarshalPKIXPublicKey(&one.PublicKey)
	plain := pkcs8(t, one)
	legacy, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(one), []byte("password"), x509.PEMCipherAES256) //nolint:staticcheck // Old keys have this encryption.
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, content, want string }{
		{"PKCS 8", plain, ""},
		{"PKCS 1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(one)), ""},
		{"CRLF", strings.ReplaceAll(plain, "\n", "\r\n"), ""},
		{"byte order mark", "\xef\xbb\xbf" + plain, ""},
		{"text around", "Bag Attributes\n" + plain + "\n\n", ""},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", []byte("x")), "encrypted"},
		{"encrypted PKCS 1", string(pem.EncodeToMemory(legacy)), "encrypted"},
		{"EC, PKCS 8", pkcs8(t, curve), "not RSA"},
		{"EC, SEC 1", block("EC PRIVATE KEY", curveDER), "not RSA"},
		{"EC with parameters", block("EC PARAMETERS", []byte("x")) + block("EC PRIVATE KEY", curveDER), "not RSA"},
		{"1024 bits", pkcs8(t, short), "1024 bits"},
		{"public key", block("PUBLIC KEY", public), "public key"},
		{"certificate", block("CERTIFICATE", public), "public key or a certificate"},
		{"OpenSSH", block("OPENSSH PRIVATE KEY", []byte("x")), "OpenSSH"},
		{"another block", block("DH PARAMETERS", []byte("x")), "not a private key"},
		{"two keys", plain + pkcs8(t, keyTwo()), "more than one PEM block"},
		{"key with its public key", plain + block("PUBLIC KEY", public), "more than one PEM block"},
		{"cut off", plain[:len(plain)-40], "no PEM block"},
		{"second key cut off", plain + plain[:100], "more than one PEM block"},
		{"damaged", block("PRIVATE KEY", []byte("x")), "damaged"},
		{"DER", string(x509.MarshalPKCS1PrivateKey(one)), "no PEM block"},
		{"empty", "", "no PEM block"},
		{"large", plain + strings.Repeat("\n", 8<<10), "larger than 8 KiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			writeFile(t, path, test.content)
			err := passport.FileKey(path).Check(t.Context())
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, tokensource.ErrMisconfigured)
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "key.pem") {
				t.Errorf("error %q, want %q and the path", err, test.want)
			}
		})
	}
}

func TestFileKey_MissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.pem")
	o := openIDIssuer("http://127.0.0.1:1", passport.FileKey(path))
	if err := o.Validate(); err != nil {
		t.Errorf("Validate reads the file: %v", err)
	}
	_, err := o.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
	if !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("the error does not name the file: %v", err)
	}
	if passport.FileKey(path, keyFile(t, keyOne())).Check(t.Context()) == nil {
		t.Error("Check does not report the missing file")
	}
}

func TestKey_Unset(t *testing.T) {
	for name, key := range map[string]passport.Key{
		"zero": {}, "no path": passport.FileKey(""), "no next path": passport.FileKey("x", ""), "no signer": passport.SignerKey(nil),
	} {
		if err := key.Check(t.Context()); err == nil {
			t.Errorf("%s: no fault", name)
		}
		if _, err := key.Fingerprints(t.Context()); err == nil {
			t.Errorf("%s: fingerprints", name)
		}
	}
}

func TestKey_Fingerprints(t *testing.T) {
	one, two := keyFile(t, keyOne()), keyFile(t, keyTwo())
	der, err := x509.MarshalPKIXPublicKey(&keyOne().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	fingerprints, err := passport.FileKey(one, two, one).Fingerprints(t.Context())
	if err != nil || len(fingerprints) != 2 || fingerprints[0] != hex.EncodeToString(sum[:]) {
		t.Errorf("got the fingerprints %v, error %v, want 2, of which the first is that of the first key", fingerprints, err)
	}
}

func TestOpenID_RevisionChangesWithKeys(t *testing.T) {
	path, next := keyFile(t, keyOne()), filepath.Join(t.TempDir(), "next.pem")
	o := openIDIssuer("https://pismo.example", passport.FileKey(path, next))
	seen := []string{o.Revision(t.Context())}
	if seen[0] == "" || o.Revision(t.Context()) != seen[0] {
		t.Fatalf("got revision %q, then %q, want the same", seen[0], o.Revision(t.Context()))
	}
	for _, change := range []func(){
		func() { writeFile(t, next, pkcs8(t, keyTwo())) },
		func() { replaceKey(t, path, keyTwo()) },
		func() { o.Group = "pismo-v1:orgs:rw" },
		func() { o.Audience = "other" },
	} {
		change()
		now := o.Revision(t.Context())
		if now == "" || slices.Contains(seen, now) {
			t.Errorf("got revision %q after %q, want another", now, seen)
		}
		seen = append(seen, now)
	}
	writeFile(t, path, "")
	writeFile(t, next, "")
	if got := o.Revision(t.Context()); got != "" {
		t.Errorf("got revision %q without a key, want an empty string", got)
	}
}

func FuzzFileKey(f *testing.F) {
	der := x509.MarshalPKCS1PrivateKey(keyOne())
	f.Add([]byte(block("RSA PRIVATE KEY", der)))
	f.Add([]byte(block("PRIVATE KEY", der)))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----"))
	f.Add([]byte("-----BEGIN -----\n-----END -----"))
	path := filepath.Join(f.TempDir(), "key.pem")
	f.Fuzz(func(t *testing.T, content []byte) {
		writeFile(t, path, string(content))
		err := passport.FileKey(path).Check(t.Context())
		if err == nil {
			return
		}
		_ = failedWith(t, err, tokensource.ErrMisconfigured)
		for line := range bytes.Lines(content) {
			if len(line) > 60 && strings.Contains(err.Error(), string(bytes.TrimSpace(line))) {
				t.Errorf("the error holds a line of the file: %v", err)
			}
		}
	})
}
