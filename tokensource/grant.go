package tokensource

import (
	"strings"
	"time"
)

// A Grant is what an [Issuer] got from a token endpoint. The Source checks it. It
// refuses a token that could not be sent in a header, one that names another
// account than the one asked for, and one that has expired by the endpoint's own
// clock. What else is odd in a Grant costs no token.
type Grant struct {
	// Token is the access token. Required. It may be a JWT or opaque.
	Token Secret
	// ExpiresIn is the life of the token as the endpoint told it. 0, and what
	// makes no sense, count as unknown.
	ExpiresIn time.Duration
	// Date is the time of the answer by the endpoint's own clock; zero if it is
	// unknown. With it, the claim exp of a JWT tells how long the token lives,
	// whatever the local clock says.
	Date time.Time
	// Age is how much of its life the token had spent when it was handed over.
	Age time.Duration
	// AccountID and ExternalAccountID are the account that the answer named;
	// empty if it named none.
	AccountID, ExternalAccountID string
	// Bare says that the token is sent without a scheme. By default it is
	// sent as "Bearer <token>".
	Bare bool
}

// The causes of errors that are found here. None of them holds anything of the
// answer.
var (
	errNoToken       = Explain("the answer holds no token", nil)
	errTokenBytes    = Explain("the token holds characters that RFC 6750 does not allow", nil)
	errDeadOnArrival = Explain("the token had expired when it arrived", nil)
	errExpiredAgain  = Explain("the token endpoint handed out the expired token again", nil)
	errSameToken     = Explain("the token endpoint handed out the same token again", nil)
)

// verify reports whether the token may be sent and is for the account, and
// returns how long it lives.
func (g Grant) verify(account Account) (time.Duration, *Error) {
	token := g.Token.Reveal()
	switch {
	case token == "":
		return 0, NewError(ErrMalformedResponse, errNoToken)
	case !isB64Token(token):
		return 0, NewError(ErrMalformedResponse, errTokenBytes)
	}
	claims := readClaims(token)
	if !g.named(claims, account).allow(account) {
		return 0, NewError(ErrAccountMismatch, nil)
	}
	lifetime := g.lifetime(claims)
	if lifetime <= 0 {
		return 0, NewError(ErrMalformedResponse, errDeadOnArrival)
	}
	return lifetime, nil
}

// named returns the accounts that the answer and the token name.
func (g Grant) named(claims map[string]any, account Account) namedAccounts {
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
		return all(n.internal, func(named string) bool { return namesNone(named) || sameID(named, account.ID()) })
	case KindExternalAccount:
		return all(n.external, func(named string) bool { return named == "" || named == account.ID() })
	default:
		return all(n.internal, namesNone) && all(n.external, namesNone)
	}
}

func all(ids []string, ok func(string) bool) bool {
	for _, id := range ids {
		if !ok(id) {
			return false
		}
	}
	return true
}

// lifetime returns how long the token lives: the shortest life that its claims
// and the answer tell, or the default if they tell none. It needs no clock of
// ours to agree with Pismo's. It is not positive if the token has expired by the
// endpoint's own clock.
func (g Grant) lifetime(claims map[string]any) time.Duration {
	shortest := maxLifetime
	told := false
	tell := func(life time.Duration) { shortest, told = min(shortest, life), true }
	if g.ExpiresIn > 0 {
		tell(g.ExpiresIn)
	}
	exp, hasExpiry := timeClaim(claims, "exp")
	if iat, ok := timeClaim(claims, "iat"); ok && hasExpiry && seconds(exp-iat) > 0 {
		tell(seconds(exp - iat))
	}
	if hasExpiry && exp >= minExpiry && !g.Date.IsZero() {
		tell(seconds(exp - float64(g.Date.UnixNano())/float64(time.Second)))
	}
	if !told {
		return defaultLifetime
	}
	return shortest
}

// minExpiry is the beginning of the year 2000 in seconds since 1970. A smaller
// number is not a date by which a token has expired: it is a life, perhaps, or a
// date in other units.
const minExpiry = 946684800

// seconds returns a number of seconds as a duration, which is at most the
// longest life of a token, however many they are.
func seconds(n float64) time.Duration {
	return time.Duration(max(min(n, maxLifetime.Seconds()), -1) * float64(time.Second))
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
// cannot end a header field or begin another. Each segment of a JWT may have
// padding, as some gateways write it.
func isB64Token(s string) bool {
	for segment := range strings.SplitSeq(s, ".") {
		text := strings.TrimRight(segment, "=")
		if text == "" && segment != "" {
			return false
		}
		for i := range len(text) {
			switch c := text[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			case strings.IndexByte("-_~+/", c) >= 0:
			default:
				return false
			}
		}
	}
	return s != ""
}
