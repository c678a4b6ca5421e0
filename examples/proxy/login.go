package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
)

// The names in the tokens that a login hands out.
const (
	loginIssuer   = "examples/proxy/login"
	loginAudience = "examples/proxy"
	accountClaim  = "account"
)

// A login stands for the program's own authentication. It asks nobody for a
// password, and so is good for an example and for nothing else: it hands a
// token to whoever names a user.
type login struct {
	key      []byte
	accounts map[string]string // by user
}

func newLogin(accounts map[string]string) *login {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // Never fails.
	return &login{key: key, accounts: accounts}
}

// ServeHTTP answers with a token for the user that the path names.
func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok, err := l.token(r.PathValue("user"))
	switch {
	case err != nil:
		http.Error(w, "the token could not be signed", http.StatusInternalServerError)
	case !ok:
		http.Error(w, "there is no such user; there are "+alice+" and "+bob, http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, token)
	}
}

// token returns a token for a user, and whether there is one.
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

// verification says how the proxy verifies what the login has signed.
func (l *login) verification() middleware.JWTConfig {
	return middleware.JWTConfig{
		Algorithms: []string{jwt.SigningMethodHS256.Alg()},
		Key:        func(*jwt.Token) (any, error) { return l.key, nil },
		Issuer:     loginIssuer,
		Audience:   loginAudience,
		Claim:      accountClaim,
	}
}
