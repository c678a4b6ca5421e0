// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// recipe: aws-kms
// A kmsSigner is a key of AWS KMS, of the spec RSA_2048 and the usage
// SIGN_VERIFY.
type kmsSigner struct {
	client *kms.Client
	keyID  string
	public crypto.PublicKey // x509.ParsePKIXPublicKey of the answer to GetPublicKey
}

func (s *kmsSigner) Public() crypto.PublicKey { return s.public }

func (s *kmsSigner) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := s.client.Sign(ctx, &kms.SignInput{
		KeyId:            &s.keyID,
		Message:          digest,
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
	})
	if err != nil {
		return nil, tokensource.SafeError("AWS KMS did not sign", err)
	}
	return out.Signature, nil
}

// end

// A fake of AWS KMS signs with a key, and checks each request.
func TestOpenID_SignsWithKMS(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		_ = json.NewDecoder(r.Body).Decode(&in)
		check(t, "request", in["KeyId"]+" "+in["MessageType"]+" "+in["SigningAlgorithm"], "alias/pismo DIGEST RSASSA_PKCS1_V1_5_SHA_256")
		digest := must(base64.StdEncoding.DecodeString(in["Message"]))(t)
		signature := must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest))(t)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"Signature": signature})
	}))
	t.Cleanup(fake.Close)
	client := kms.New(kms.Options{Region: "eu-west-1", BaseEndpoint: aws.String(fake.URL), Credentials: aws.AnonymousCredentials{}, HTTPClient: fake.Client()})
	pismo := passporttest.NewServer(t, passporttest.Config{})
	pismo.RegisterKey(&key.PublicKey)
	signer := &kmsSigner{client: client, keyID: "alias/pismo", public: &key.PublicKey}
	source := must(tokensource.New(tokensource.Config{Issuer: pismo.OpenIDIssuer(passport.SignerKey(signer), "pismo-v1:accounts:rw")}))(t)
	must(source.Token(t.Context(), tokensource.Organization()))(t)
}

// keyFile writes a new key to a file.
func keyFile(t *testing.T) (path string, public *rsa.PublicKey) {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	path = filepath.Join(t.TempDir(), "pismo.pem")
	der := must(x509.MarshalPKCS8PrivateKey(key))(t)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, &key.PublicKey
}

func TestOpenID_FirstToken(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	keyFile, public := keyFile(t)
	pismo.RegisterKey(public)
	known := pismo.OpenIDIssuer(passport.Key{}, "")
	baseURL, iss, sub, aud, tenantID := known.BaseURL, known.Issuer, known.Subject, known.Audience, known.TenantID
	first := func(ctx context.Context) (*tokensource.Source, error) {
		// recipe: openid
		issuer := &passport.OpenID{
			BaseURL:  baseURL, // such as https://sandbox.pismolabs.io
			Key:      passport.FileKey(keyFile),
			Issuer:   iss,
			Subject:  sub,
			Audience: aud,
			TenantID: tenantID,
			Group:    "pismo-v1:accounts:rw",
		}
		if err := issuer.Key.Check(ctx); err != nil {
			return nil, err // The error names the file.
		}
		return tokensource.New(tokensource.Config{Issuer: issuer})
		// end
	}
	source := must(first(t.Context()))(t)
	must(source.Token(t.Context(), tokensource.Organization()))(t)
}

func TestOpenID_TwoKeyFiles(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	keyFile, public := keyFile(t)
	nextKeyFile := filepath.Join(t.TempDir(), "next.pem") // It does not exist yet.
	pismo.RegisterKey(public)
	issuer := pismo.OpenIDIssuer(passport.Key{}, "pismo-v1:accounts:rw")
	// recipe: openid-rotation
	issuer.Key = passport.FileKey(keyFile, nextKeyFile)
	// end
	must(issuer.Issue(t.Context(), tokensource.Organization()))(t)
}

func TestRouter_TwoGroups(t *testing.T) {
	answer := func(status int) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		})
	}
	accounts, banking := answer(200), answer(201)
	group := func() (*http.Client, error) {
		// recipe: router
		router, err := transport.NewRouter(map[string]http.RoundTripper{
			"/accounts/":            accounts, // a *transport.Transport with tokens of the group for accounts
			"GET /bankaccounts/v1/": banking,
		})
		if err != nil {
			return nil, err
		}
		return &http.Client{Transport: router}, nil
		// end
	}
	client := must(group())(t)
	for url, want := range map[string]int{"https://pismo.example/accounts/1": 200, "https://pismo.example/bankaccounts/v1/1": 201} {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))(t)
		resp := must(client.Do(req))(t)
		_ = resp.Body.Close()
		check(t, url, resp.StatusCode, want)
	}
}
