// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"strings"
	"time"
)

// A Grant is the result of a token request by an [Issuer]. The Source checks
// it. It rejects a token that is empty or cannot be sent in a header, a token
// that names another account than the requested one, a token with no usable
// life left by the endpoint's own clock, and the same token again, unless the
// token does not state its expiry and its life is over.
type Grant struct {
	// Token is the access token. Required. It may be a JWT or opaque.
	Token Secret
	// ExpiresIn is the lifetime that the endpoint stated. A value of 0 or
	// less counts as unknown.
	ExpiresIn time.Duration
	// Date is the time of the response by the endpoint's own clock, or zero
	// if unknown. With Date, the claim exp of a JWT yields the token's
	// lifetime, whatever the local clock says.
	Date time.Time
	// Age is the age of the token when the endpoint handed it over.
	Age time.Duration
	// AccountID and ExternalAccountID identify the account that the
	// response named. They are empty if it named none.
	AccountID, ExternalAccountID string
	// Adopted means that another process had issued the token, and shares
	// it. Package fleet sets it. The Source only reports it to its hooks.
	Adopted bool
	// Bare sends the token without a scheme. By default it is sent as
	// "Bearer <token>".
	Bare bool
}

// Causes of errors. None of them holds any part of the response.
var (
	errNoToken          = SafeError("the response holds no token", nil)
	errTokenBytes       = SafeError("the token holds characters that RFC 6750 does not allow", nil)
	errExpiredOnArrival = SafeError("the token had expired when it arrived", nil)
	errExpiredAgain     = SafeError("the token endpoint handed out the expired token again", nil)
	errSameToken        = SafeError("the token endpoint handed out the same token again", nil)
)

// Verify checks the token's characters, its account and its stated lifetime,
// and returns the lifetime of the token from its beginning. A [Source] also
// rejects a token whose Age leaves no usable life, and the token that it had
// before. Verify is for issuers that keep or share tokens. The error is an
// [*Error].
func (g Grant) Verify(account Account) (time.Duration, error) {
	lifetime, err := g.verify(account)
	if err != nil {
		return 0, err
	}
	return lifetime, nil
}

// verify returns the lifetime of the token. It returns an error if the token
// cannot be sent or is for another account.
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
		return 0, NewError(ErrMalformedResponse, errExpiredOnArrival)
	}
	return lifetime, nil
}

// named returns the accounts that the response and the token name.
func (g Grant) named(claims map[string]any, account Account) namedAccounts {
	named := namedAccounts{
		internal: [4]string{g.AccountID, accountClaim(claims, "account_id"), accountClaim(claims, "account-id")},
		external: [3]string{g.ExternalAccountID, accountClaim(claims, "external_account_id"), accountClaim(claims, "external-account-id")},
	}
	// Samples of 2025 had the claim aid beside account-id. Pismo does not
	// document it. It counts only where it can lead to a rejection.
	if aid := accountClaim(claims, "aid"); account.Kind() == KindAccount && isDigits(aid) {
		named.internal[3] = aid
	}
	return named
}

// namedAccounts are the identifiers in a response and its token. Each may be
// empty.
type namedAccounts struct {
	internal [4]string
	external [3]string
}

// allow reports whether every identifier names the account. Internal ids are
// compared with internal ids, external ids with external ids. A token for the
// organization must not name any account. In such a token, text that is not a
// number names the organization: older pages of Pismo show OpenID tokens with a
// text like that of a tenant in place of the account.
func (n namedAccounts) allow(account Account) bool {
	switch account.Kind() {
	case KindAccount:
		return all(n.internal[:], func(named string) bool { return namesNone(named) || sameID(named, account.ID()) })
	case KindExternalAccount:
		return all(n.external[:], func(named string) bool { return named == "" || named == account.ID() })
	default:
		return all(n.internal[:], notNumber) && all(n.external[:], namesNone)
	}
}

// notNumber reports whether a text is not the id of an account: it is empty,
// zero, or not a number.
func notNumber(named string) bool {
	named = strings.TrimSpace(named)
	if named == "" {
		return true
	}
	n, ok := integer(named)
	return !ok || n.Sign() == 0
}

func all(ids []string, ok func(string) bool) bool {
	for _, id := range ids {
		if !ok(id) {
			return false
		}
	}
	return true
}

// lifetime returns the lifetime of the token: the shortest that its claims and
// the response state, or the default if they state none. The local clock need
// not agree with Pismo's. The result is not positive if the token has expired
// by the endpoint's own clock.
func (g Grant) lifetime(claims map[string]any) time.Duration {
	shortest := maxLifetime
	stated := false
	state := func(life time.Duration) { shortest, stated = min(shortest, life), true }
	if g.ExpiresIn > 0 {
		state(g.ExpiresIn)
	}
	exp, hasExpiry := timeClaim(claims, "exp")
	if iat, ok := timeClaim(claims, "iat"); ok && hasExpiry && seconds(exp-iat) > 0 {
		state(seconds(exp - iat))
	}
	if hasExpiry && exp >= minExpiry && !g.Date.IsZero() {
		state(seconds(exp - float64(g.Date.UnixNano())/float64(time.Second)))
	}
	if !stated {
		return defaultLifetime
	}
	return shortest
}

// minExpiry is the beginning of the year 2000 in seconds since 1970. A smaller
// number does not mean that a token has expired. The number may be a lifetime,
// or a date in other units.
const minExpiry = 946684800

// seconds returns n seconds as a duration between -1 s and maxLifetime.
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

// isB64Token reports whether s is a b64token (RFC 6750, section 2.1). A
// b64token cannot end a header field or begin another. Each segment of a JWT
// may have padding, as some gateways write it.
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
