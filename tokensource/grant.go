package tokensource

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Grant is what an [Issuer] got from a token endpoint. The Source checks it:
// a token that could not be sent in a header, that is a JWT which cannot be
// read, or that is for another account than the one asked for, is refused, and
// nothing of it is kept.
type Grant struct {
	// Token is the access token. Required. A string of three parts with dots
	// between them must be a JWT; anything else is opaque, and fine.
	Token Secret
	// ExpiresIn is the life of the token as the endpoint told it, 0 if it did
	// not. A JWT with the claims iat and exp tells its own, which counts
	// first; if nothing tells, it is 10 minutes.
	ExpiresIn time.Duration
	// Age is how much of its life the token had spent when it was handed over.
	Age time.Duration
	// Date is the endpoint's own clock when it answered; zero if unknown.
	Date time.Time
	// AccountID and ExternalAccountID are the account that the answer named;
	// empty if it named none.
	AccountID, ExternalAccountID string
	// Bare says that the token is sent without a scheme. By default it is
	// sent as "Bearer <token>".
	Bare bool
}

// The causes of ErrMalformedResponse that are found here. None of them holds
// anything of the answer.
var (
	errNoToken       = errors.New("the answer holds no token")
	errTokenBytes    = errors.New("the token holds characters that RFC 6750 does not allow")
	errTokenJWT      = errors.New("the token has three parts, but is not a JWT")
	errTokenTimes    = errors.New("the token's iat and exp make no sense")
	errExpiresIn     = errors.New("expires_in is not positive")
	errDeadOnArrival = errors.New("the token had expired when it arrived")
)

// lastTime is the end of the year 9999, the last that time formats can hold.
const lastTime = 253402300799

// verify reports whether the token may be sent and is for the account, and
// returns how long it lives.
func (g Grant) verify(account Account) (time.Duration, error) {
	token := g.Token.Reveal()
	switch {
	case token == "":
		return 0, NewError(ErrMalformedResponse, errNoToken)
	case !isB64Token(token):
		return 0, NewError(ErrMalformedResponse, errTokenBytes)
	}
	claims, err := readClaims(token)
	if err != nil {
		return 0, NewError(ErrMalformedResponse, err)
	}
	if !g.named(claims, account).allow(account) {
		return 0, NewError(ErrAccountMismatch, nil)
	}
	lifetime, err := g.lifetime(claims)
	if err != nil {
		return 0, NewError(ErrMalformedResponse, err)
	}
	return lifetime, nil
}

// named returns the accounts that the answer and the token name.
func (g Grant) named(claims jwt.MapClaims, account Account) namedAccounts {
	named := namedAccounts{
		internal: []string{g.AccountID, accountClaim(claims, "account_id"), accountClaim(claims, "account-id")},
		external: []string{g.ExternalAccountID, accountClaim(claims, "external_account_id"), accountClaim(claims, "external-account-id")},
	}
	// The claim aid was seen beside account-id in samples of 2025, and is
	// documented nowhere: it counts where it can only make us more careful.
	if aid := accountClaim(claims, "aid"); account.Kind() == KindAccount && isDigits(aid) {
		named.internal = append(named.internal, aid)
	}
	return named
}

// namedAccounts are the identifiers found in an answer and in its token.
type namedAccounts struct{ internal, external []string }

// allow reports whether everything that was named is the account: internal ids
// are compared with internal ones, external with external, and a token for the
// organization must not name any.
func (n namedAccounts) allow(account Account) bool {
	switch account.Kind() {
	case KindAccount:
		return allEmptyOr(n.internal, account.ID())
	case KindExternalAccount:
		return allEmptyOr(n.external, account.ID())
	default:
		return allEmptyOr(n.internal, "") && allEmptyOr(n.external, "")
	}
}

func allEmptyOr(ids []string, id string) bool {
	for _, named := range ids {
		if named != "" && named != id {
			return false
		}
	}
	return true
}

// lifetime returns how long the token lives: exp − iat, which needs no clock
// of ours to agree with Pismo's; else expires_in; else the default.
func (g Grant) lifetime(claims jwt.MapClaims) (time.Duration, error) {
	if g.ExpiresIn < 0 {
		return 0, errExpiresIn
	}
	iat, hasIssued, err := timeClaim(claims, "iat")
	if err != nil {
		return 0, err
	}
	exp, hasExpiry, err := timeClaim(claims, "exp")
	if err != nil {
		return 0, err
	}
	switch {
	case hasIssued && hasExpiry:
		seconds := min(exp-iat, maxLifetime.Seconds())
		lifetime := time.Duration(seconds * float64(time.Second))
		if lifetime <= 0 {
			return 0, errTokenTimes
		}
		return lifetime, nil
	case g.ExpiresIn > 0:
		return min(g.ExpiresIn, maxLifetime), nil
	default:
		return defaultLifetime, nil
	}
}

// readClaims returns the claims of a JWT without verifying it, or nil if the
// token is opaque, which every string is that does not have three parts.
func readClaims(token string) (jwt.MapClaims, error) {
	if strings.Count(token, ".") != 2 {
		return nil, nil
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithJSONNumber())
	_, parts, err := parser.ParseUnverified(token, claims)
	// An algorithm that the library does not know is no concern of ours.
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) {
		return nil, errTokenJWT
	}
	if _, err := parser.DecodeSegment(parts[2]); err != nil {
		return nil, errTokenJWT
	}
	return claims, nil
}

// timeClaim returns a claim in seconds since 1970, and whether it is there.
func timeClaim(claims jwt.MapClaims, name string) (float64, bool, error) {
	value, ok := claims[name]
	if !ok || value == nil {
		return 0, false, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return 0, false, errTokenTimes
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > lastTime {
		return 0, false, errTokenTimes
	}
	return seconds, true, nil
}

// accountClaim returns a claim that names an account, as text. One that names
// none (absent, null, 0) is "".
func accountClaim(claims jwt.MapClaims, name string) string {
	value, ok := claims[name]
	if !ok || value == nil {
		return ""
	}
	id := fmt.Sprint(value)
	if id == "0" {
		return ""
	}
	return id
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isB64Token reports whether s is a b64token (RFC 6750, section 2.1), and so
// cannot end a header field or begin another.
func isB64Token(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
