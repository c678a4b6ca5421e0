// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
)

// The names appear in the tokens of a login.
const (
	loginIssuer   = "examples/proxy/login"
	loginAudience = "examples/proxy"
	accountClaim  = "account"
)

// A login stands for a program's own authentication. It gives a token to every
// client that names a user, without a password. Use it in examples only.
type login struct {
	key      []byte
	accounts map[string]string // by user
}

func newLogin(accounts map[string]string) *login {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // Read never returns an error.
	return &login{key: key, accounts: accounts}
}

// ServeHTTP answers with a token for the user that the path names.
func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok, err := l.token(r.PathValue("user"))
	switch {
	case err != nil:
		http.Error(w, "the token could not be signed", http.StatusInternalServerError)
	case !ok:
		http.Error(w, "the user is unknown; use "+alice+" or "+bob, http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, token)
	}
}

// token returns a token for a user. It reports false if the user is unknown.
func (l *login) token(user string) (token string, ok bool, err error) {
	account, ok := l.accounts[user]
	if !ok {
		return "", false, nil
	}
	now := time.Now()
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss":        loginIssuer,
		"aud":        loginAudience,
		"sub":        user,
		"iat":        now.Unix(),
		"exp":        now.Add(time.Hour).Unix(),
		accountClaim: account,
	}).SignedString(l.key)
	return token, true, err
}

// verification returns the configuration to verify the tokens of the login.
func (l *login) verification() middleware.JWTConfig {
	return middleware.JWTConfig{
		Algorithms: []string{jwt.SigningMethodHS256.Alg()},
		Key:        func(*jwt.Token) (any, error) { return l.key, nil },
		Issuer:     loginIssuer,
		Audience:   loginAudience,
		Claim:      accountClaim,
	}
}
