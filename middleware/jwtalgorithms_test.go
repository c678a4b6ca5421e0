// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

func TestFromJWT_RefusesUnverifiableToken(t *testing.T) {
	key := rsaKey()
	publicPEM := publicKeyPEM(t, key)
	good := sign(t, jwt.SigningMethodRS256, key, goodClaims())
	parts := strings.Split(good, ".")
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	forged := encode([]byte(`{"iss":"` + jwtIssuer + `","aud":"` + jwtAudience + `","exp":99999999999,"account":"` + bob + `"}`))
	rs256 := func(edits ...func(jwt.MapClaims)) string {
		return sign(t, jwt.SigningMethodRS256, key, goodClaims(edits...))
	}
	find := fromJWT(t, jwtConfig(jwt.SigningMethodRS256, key.Public()))
	wantAccount(t, find, inbound(t, "Authorization", "Bearer "+good), alice)

	for name, token := range map[string]string{
		"another's signature":           sign(t, jwt.SigningMethodRS256, another, goodClaims()),
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"other claims":                  parts[0] + "." + forged + "." + parts[2],
		"alg none":                      sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims()),
		"alg None":                      encode([]byte(`{"alg":"None","typ":"JWT"}`)) + "." + forged + ".",
		"alg nOnE with a signature":     encode([]byte(`{"alg":"nOnE"}`)) + "." + forged + "." + parts[2],
		"no alg":                        encode([]byte(`{"typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"alg a number":                  encode([]byte(`{"alg":1}`)) + "." + parts[1] + "." + parts[2],
		"the public key as HMAC secret": sign(t, jwt.SigningMethodHS256, publicPEM, goodClaims()),
		"the DER as HMAC secret":        sign(t, jwt.SigningMethodHS256, publicKeyDER(t, key), goodClaims()),
		"an algorithm not listed":       sign(t, jwt.SigningMethodRS512, key, goodClaims()),
		"a padding not listed":          sign(t, jwt.SigningMethodPS256, key, goodClaims()),
		"expired":                       rs256(with("exp", time.Now().Add(-time.Second).Unix())),
		"no exp":                        rs256(with("exp", nil)),
		"exp null":                      rs256(with("exp", json.RawMessage("null"))),
		"exp 0":                         rs256(with("exp", 0)),
		"exp a string":                  rs256(with("exp", "99999999999")),
		"not valid yet":                 rs256(with("nbf", time.Now().Add(time.Hour).Unix())),
		"another issuer":                rs256(with("iss", "https://login.example.evil")),
		"no issuer":                     rs256(with("iss", nil)),
		"a list of issuers":             rs256(with("iss", []string{jwtIssuer})),
		"another audience":              rs256(with("aud", "https://other.example")),
		"other audiences":               rs256(with("aud", []string{"https://other.example", jwtAudience + "/"})),
		"no audience":                   rs256(with("aud", nil)),
		"an empty audience":             rs256(with("aud", []string{})),
		"claims that are null":          parts[0] + "." + encode([]byte("null")) + "." + parts[2],
		"claims that are a list":        parts[0] + "." + encode([]byte("[]")) + "." + parts[2],
		"two parts":                     parts[0] + "." + parts[1],
		"four parts":                    good + "." + parts[2],
		"encrypted, five parts":         good + "." + parts[1] + "." + parts[2],
		"not base64":                    parts[0] + ".*." + parts[2],
		"empty":                         "",
		"another token after it":        good + ", Bearer " + good,
		"its own key in the header":     signWithHeader(t, another, map[string]any{"jwk": map[string]any{"kty": "oct", "k": "AA"}}),
		"a reference to its own key":    signWithHeader(t, another, map[string]any{"jku": "https://evil.example/keys", "kid": "../../dev/null"}),
	} {
		t.Run(name, func(t *testing.T) { wantUnauthenticated(t, find, "Bearer "+token) })
	}
}

// signWithHeader returns a token with the attacker's header, signed with the
// attacker's key.
func signWithHeader(t *testing.T, attacker *rsa.PrivateKey, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, goodClaims())
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(attacker)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func publicKeyDER(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func publicKeyPEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicKeyDER(t, key)})
}

// With these algorithms, a client could sign its own tokens.
func TestJWTConfig_RefusesUnsafeAlgorithms(t *testing.T) {
	for name, algorithms := range map[string][]string{
		"none":                  {"none"},
		"none among others":     {"RS256", "none"},
		"unknown":               {"RS257"},
		"of another case":       {"rs256"},
		"empty":                 {""},
		"HMAC with RSA":         {"RS256", "HS256"},
		"HMAC with ECDSA":       {"HS512", "ES256"},
		"HMAC with EdDSA":       {"HS256", "HS384", "EdDSA"},
		"HMAC with RSA and PSS": {"PS256", "RS256", "HS256"},
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
			config.Algorithms = algorithms
			_, err := middleware.FromJWT(config)
			var fault *tokensource.ConfigError
			if !errors.As(err, &fault) || fault.Field != "JWTConfig.Algorithms" {
				t.Errorf("got %v, want a fault of Algorithms", err)
			}
		})
	}
	for _, algorithms := range [][]string{{"HS256", "HS384", "HS512"}, {"RS256", "ES256", "PS512", "EdDSA"}} {
		config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
		config.Algorithms = algorithms
		fromJWT(t, config)
	}
}
