package passporttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Token is what the fake server knows about a token that it issued.
type Token struct {
	// Account is the id of the account it is for; "" is the organization.
	Account string
	// Serial is its number among the tokens of the Server, from 1.
	Serial uint64
	// Issued and Expires are by the fake server's clock.
	Issued, Expires time.Time
}

type tokenKey struct{}

// TokenFromContext returns the token that the request came with, and whether
// there is one: in a Config.Resource there always is.
func TokenFromContext(ctx context.Context) (Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(Token)
	return token, ok
}

// A RefusalReason says why the resource API refused a token.
type RefusalReason string

// The reasons to refuse a token.
const (
	// ReasonMissing: the request had no Authorization.
	ReasonMissing RefusalReason = "missing"
	// ReasonRepeated: the request had more than one Authorization.
	ReasonRepeated RefusalReason = "repeated"
	// ReasonScheme: the Authorization was not "Bearer <token>"; or, with
	// Config.Bare, it was.
	ReasonScheme RefusalReason = "scheme"
	// ReasonUnknown: the token is not one that this Server issued.
	ReasonUnknown RefusalReason = "unknown"
	// ReasonExpired: the token has expired by the fake server's clock.
	ReasonExpired RefusalReason = "expired"
	// ReasonRevoked: the token was revoked.
	ReasonRevoked RefusalReason = "revoked"
	// ReasonAccount: the token is good, but not for this account.
	ReasonAccount RefusalReason = "account"
)

// A ledger holds the tokens that were issued. A token is good only if it is in
// the ledger, byte for byte; that is stricter than to verify its signature.
type ledger struct {
	key []byte // that JWTs are signed with

	mu         sync.Mutex
	tokens     map[string]Token
	sweepAt    int // how many tokens there have to be before old ones are dropped
	serial     uint64
	latest     map[string]string // account: the value of its last token
	revoked    map[string]uint64 // account: up to this serial
	revokedAll uint64            // up to this serial
}

// Tokens that expired more than remembered ago may be dropped from the ledger,
// and are unknown from then on.
const (
	remembered = time.Hour
	firstSweep = 1024
)

func newLedger() *ledger {
	key := make([]byte, 64)
	_, _ = rand.Read(key) // It never fails.
	return &ledger{
		key:     key,
		tokens:  map[string]Token{},
		latest:  map[string]string{},
		revoked: map[string]uint64{},
		sweepAt: firstSweep,
	}
}

// enter writes a token into the ledger.
func (l *ledger) enter(value string, token Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tokens) >= l.sweepAt {
		for old, t := range l.tokens {
			if t.Expires.Add(remembered).Before(token.Issued) {
				delete(l.tokens, old)
			}
		}
		l.sweepAt = max(firstSweep, 2*len(l.tokens))
	}
	l.serial++
	token.Serial = l.serial
	l.tokens[value] = token
	l.latest[token.Account] = value
}

// last returns the token that was issued last for an account, "" if none was.
func (l *ledger) last(account string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest[account]
}

// find returns the token in the ledger, and why it is refused, if it is.
func (l *ledger) find(value string, now time.Time) (Token, RefusalReason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	token, ok := l.tokens[value]
	switch {
	case !ok:
		return Token{}, ReasonUnknown
	case !now.Before(token.Expires):
		return token, ReasonExpired
	case token.Serial <= max(l.revokedAll, l.revoked[token.Account]):
		return token, ReasonRevoked
	}
	return token, ""
}

// issue makes a token for account that is good from now on.
func (s *Server) issue(account, serverKey string) string {
	token := s.newToken(account)
	value := rand.Text() + rand.Text()
	if !s.config.Opaque {
		value = s.sign(s.claims(token, serverKey))
	}
	s.ledger.enter(value, token)
	s.tally.note(func(c *Counts) {
		c.Issued++
		c.forAccount(account, func(a *AccountCounts) { a.Issued++ })
	})
	return value
}

// newToken returns a token that is not in the ledger yet.
func (s *Server) newToken(account string) Token {
	issued := s.now().Round(0)
	if s.config.Lifetime >= time.Minute && s.config.Lifetime%time.Second == 0 {
		issued = issued.Truncate(time.Second)
	}
	return Token{Account: account, Issued: issued, Expires: issued.Add(s.config.Lifetime)}
}

// claims returns the claims of a JWT, no two of which are equal.
func (s *Server) claims(token Token, serverKey string) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss":   "Passport",
		"sub":   "AUTH-" + newUUID(),
		"iat":   numericDate(token.Issued),
		"exp":   numericDate(token.Expires),
		"uid":   tenant + ":" + serverKey,
		"tkver": "2",
	}
	if s.config.TokenFormat == TokenFormat2022 {
		return claims
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
	signed, err := unsigned.SignedString(s.ledger.key)
	if err != nil {
		panic(err) // Not reached: the key and the claims are ours.
	}
	return signed
}

// numericDate returns seconds since 1970, with the fraction there is.
// jwt.NumericDate rounds to a precision that is global to the program.
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
