// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Token describes a token that the fake server has issued.
type Token struct {
	// Account is the id of its account; "" is the organization.
	Account string
	// Group is its permission group; "" if it was issued for a key and a
	// secret.
	Group string
	// Serial is its number among the tokens of the Server, from 1.
	Serial uint64
	// Issued and Expires are times of the fake server's clock.
	Issued, Expires time.Time
}

type tokenKey struct{}

// TokenFromContext returns the token of the request that ctx belongs to, and
// whether there is one. A Config.Resource always finds one.
func TokenFromContext(ctx context.Context) (Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(Token)
	return token, ok
}

// A RefusalReason says why the resource API refused a token.
type RefusalReason string

// The reasons to refuse a token.
const (
	// ReasonMissing: the request has no Authorization.
	ReasonMissing RefusalReason = "missing"
	// ReasonTwoFields: the request has more than one Authorization.
	ReasonTwoFields RefusalReason = "repeated"
	// ReasonScheme: the Authorization is not "Bearer <token>". With
	// Config.Bare, it has a scheme.
	ReasonScheme RefusalReason = "scheme"
	// ReasonUnknown: this Server has not issued the token.
	ReasonUnknown RefusalReason = "unknown"
	// ReasonExpired: the token has expired by the fake server's clock.
	ReasonExpired RefusalReason = "expired"
	// ReasonRevoked: the token was revoked.
	ReasonRevoked RefusalReason = "revoked"
	// ReasonAccount: the token is valid for another account.
	ReasonAccount RefusalReason = "account"
	// ReasonGroup: the token's group does not reach the endpoint. The answer
	// is 403.
	ReasonGroup RefusalReason = "group"
)

// issue issues a token for account, and returns its value.
func (s *Server) issue(account string, request tokenRequest) string {
	token := s.newToken(account)
	token.Group = request.group
	value := rand.Text() + rand.Text()
	if !s.config.Opaque {
		value = s.sign(s.claims(token, request))
	}
	s.tokens.add(value, token)
	s.requests.count(func(c *Counts) {
		c.Issued++
		c.forAccount(account, func(a *AccountCounts) { a.Issued++ })
		if s.config.ReplicaHeader != "" {
			c.IssuedTo[Recipient{request.replica, account}]++
		}
	})
	return value
}

// newToken returns a token that is not in the token store yet.
func (s *Server) newToken(account string) Token {
	issued := s.now().Round(0)
	if s.config.Lifetime >= time.Minute && s.config.Lifetime%time.Second == 0 {
		issued = issued.Truncate(time.Second)
	}
	return Token{Account: account, Issued: issued, Expires: issued.Add(s.config.Lifetime)}
}

// claims returns the claims of a JWT. The random sub makes each JWT unique.
func (s *Server) claims(token Token, request tokenRequest) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss":   "Passport",
		"sub":   "AUTH-" + newUUID(),
		"iat":   numericDate(token.Issued),
		"exp":   numericDate(token.Expires),
		"uid":   tenant + ":" + request.serverKey,
		"tkver": "2",
	}
	if request.assertion != "" {
		claims["uid"] = tenant
	}
	if s.config.TokenFormat == TokenFormat2022 {
		return claims
	}
	if request.externalAccount != "" {
		claims["external_account_id"] = request.externalAccount
	}
	claims["tenant"] = tenant
	claims["tenant_id"] = tenant
	claims["token_type"] = "access_token"
	claims["roles"] = roles()
	if token.Account != "" {
		claims["account-id"] = token.Account
		claims["aid"] = token.Account
	}
	return claims
}

// sign returns a JWT with the given claims.
func (s *Server) sign(claims jwt.MapClaims) string {
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS512, claims)
	if s.config.TokenFormat == TokenFormat2025 {
		unsigned.Header["kid"] = "passporttest"
	}
	signed, err := unsigned.SignedString(s.tokens.key)
	if err != nil {
		panic(err) // Unreachable: the key and the claims are valid.
	}
	return signed
}

// numericDate returns t in seconds since 1970, with its fraction.
// jwt.NumericDate would round to a precision that is global to the program.
func numericDate(t time.Time) json.Number {
	text := fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
	return json.Number(strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}

// newUUID returns a random UUID (RFC 9562, section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails.
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
