// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

// rsaKey is a key pair for all tests, because making a key is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// hmacKey is a secret of sufficient length.
var hmacKey = []byte("0123456789abcdef0123456789abcdef")

// jwtConfig is a valid configuration.
func jwtConfig(method jwt.SigningMethod, key any) middleware.JWTConfig {
	return middleware.JWTConfig{
		Algorithms: []string{method.Alg()},
		Key:        func(*jwt.Token) (any, error) { return key, nil },
		Issuer:     jwtIssuer,
		Audience:   jwtAudience,
		Claim:      jwtClaim,
	}
}

// goodClaims returns the claims of a valid token, changed by edits.
func goodClaims(edits ...func(jwt.MapClaims)) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss":    jwtIssuer,
		"aud":    jwtAudience,
		"exp":    time.Now().Add(time.Hour).Unix(),
		jwtClaim: alice,
	}
	for _, edit := range edits {
		edit(claims)
	}
	return claims
}

// with sets a claim; nil removes it.
func with(name string, value any) func(jwt.MapClaims) {
	return func(claims jwt.MapClaims) {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
}

// sign returns a JWT.
func sign(tb testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	tb.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		tb.Fatal("SignedString:", err)
	}
	return token
}

func fromJWT(tb testing.TB, config middleware.JWTConfig) middleware.AccountFunc {
	tb.Helper()
	find, err := middleware.FromJWT(config)
	if err != nil {
		tb.Fatal("FromJWT:", err)
	}
	return find
}

// wantUnauthenticated checks that a request with these values of Authorization
// is refused.
func wantUnauthenticated(t *testing.T, find middleware.AccountFunc, authorization ...string) {
	t.Helper()
	r := inbound(t)
	r.Header["Authorization"] = authorization
	account, err := find(r)
	if !errors.Is(err, middleware.ErrUnauthenticated) || account != (tokensource.Account{}) {
		t.Errorf("got account %q and error %v, want ErrUnauthenticated", account.ID(), err)
	}
}
