// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

const accountsGroup = "pismo-v1:accounts:rw"

// The keys are shared by these tests, because making an RSA key is slow.
var (
	keyOne = sync.OnceValue(newRSAKey)
	keyTwo = sync.OnceValue(newRSAKey)
)

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// pkcs8 returns a key as a PEM file.
func pkcs8(t *testing.T, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// keyFile writes a key to a new file.
func keyFile(t *testing.T, key crypto.PrivateKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	writeFile(t, path, pkcs8(t, key))
	return path
}

// replaceKey puts a key into a file, by a rename.
func replaceKey(t *testing.T, path string, key crypto.PrivateKey) {
	t.Helper()
	next := path + ".new"
	writeFile(t, next, pkcs8(t, key))
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// openIDIssuer returns an issuer with a key and all required fields.
func openIDIssuer(baseURL string, key passport.Key) *passport.OpenID {
	return &passport.OpenID{
		BaseURL:  baseURL,
		Key:      key,
		Issuer:   "issuer@pismo.example",
		Subject:  "TN-sample@pismo.example",
		Audience: "https://audience.pismo.example",
		TenantID: "TN-ab8b08af",
		Group:    accountsGroup,
	}
}

// registered returns the issuer of a fake server that has the key.
func registered(t *testing.T, s *passporttest.Server, key *rsa.PrivateKey) *passport.OpenID {
	t.Helper()
	s.RegisterKey(&key.PublicKey)
	return s.OpenIDIssuer(passport.SignerKey(key), accountsGroup)
}

func sourceOf(t *testing.T, issuer tokensource.Issuer) *tokensource.Source {
	t.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func external(t *testing.T, id string) tokensource.Account {
	t.Helper()
	account, err := tokensource.ExternalAccountID(id)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// An assertions server answers each request with a token, and keeps the bodies.
type assertions struct {
	mu     sync.Mutex
	bodies []string
	header http.Header
}

func (a *assertions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.bodies, a.header = append(a.bodies, string(body)), r.Header
	a.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"token":"token","refresh_token":"other","expires_in":"3600"}`)
}

// last returns the header and the claims of the last assertion. It fails the
// test unless keyOne has signed the assertion and the body contains nothing
// else.
func (a *assertions) last(t *testing.T) (header map[string]any, claims jwt.MapClaims) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.bodies[len(a.bodies)-1]), &body); err != nil || len(body) != 1 {
		t.Fatalf("the body is not an object with one string: %v", err)
	}
	claims = jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithJSONNumber())
	token, err := parser.ParseWithClaims(body["token"], claims, func(*jwt.Token) (any, error) { return &keyOne().PublicKey, nil })
	if err != nil {
		t.Fatal(err)
	}
	return token.Header, claims
}
