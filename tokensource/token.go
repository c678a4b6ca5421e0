// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// The life of a token. All margins scale with the lifetime, so that a token of
// two seconds in a test and a token of ten minutes in production behave alike.
const (
	// defaultLifetime is the lifetime of a token that does not state its
	// own. Source: Pismo's documentation, "tokens expire after 10 minutes".
	defaultLifetime = 10 * time.Minute
	// maxLifetime is the longest lifetime that the Source believes.
	maxLifetime = time.Hour
	// A token is renewed in the last renewalWindow of its life.
	// renewalJitter varies this window once per token.
	renewalWindow = 0.25
	renewalJitter = 0.20
	// A token is not handed out in the last safetyMargin of its life, or in
	// the last maxSafetyMargin if that is less: the request needs time to
	// arrive.
	safetyMargin    = 0.10
	maxSafetyMargin = 15 * time.Second
)

// bearer is the scheme of an Authorization field, with its space.
const bearer = "Bearer "

// A Token is an access token. It is safe for concurrent use.
//
// A Token does not show its value: printing, logging or marshalling it shows
// its serial number and its expiry. Most programs only pass it to
// SetAuthHeader.
type Token struct {
	end      instant       // the end of its life
	lifetime time.Duration // the length of its life
	window   float32       // the Source renews it in this last part of its lifetime

	// repeated means that the endpoint has handed out the token again.
	// Since no other token is available, the Source hands it out until the
	// end of its life.
	repeated atomic.Bool
	refusals atomic.Pointer[refusals] // usually nil

	source        *Source
	account       Account
	serial        uint64
	authorization Secret // scheme and token, ready for the header
}

// SetAuthHeader sets the Authorization field of h to this token, replacing any
// earlier value (RFC 6750, section 2.1).
func (t *Token) SetAuthHeader(h http.Header) {
	h["Authorization"] = []string{t.authorization.Reveal()}
}

// IsIn reports whether the Authorization field of h holds this token and
// nothing else.
func (t *Token) IsIn(h http.Header) bool {
	values := h["Authorization"]
	return t != nil && len(values) == 1 && values[0] == t.authorization.Reveal()
}

// Reveal returns the token's value, without a scheme. Few programs need it. Do
// not print or log the result.
func (t *Token) Reveal() string {
	return strings.TrimPrefix(t.authorization.Reveal(), bearer) // No token holds a space.
}

// Account returns the account of the token.
func (t *Token) Account() Account { return t.account }

// Serial returns the serial number of the token within its [Source]. The number
// is not part of the token's value, and safe to print.
func (t *Token) Serial() uint64 { return t.serial }

// Expiry returns the time when the token expires, by the local wall clock. The
// Source stops handing the token out a little earlier.
func (t *Token) Expiry() time.Time { return time.Unix(0, t.end.wall) }

// expiring reports whether the token is too close to its end to be handed out.
func (t *Token) expiring(now instant) bool {
	if t.repeated.Load() {
		return t.end.passed(now)
	}
	return t.unusable().passed(now)
}

// stale returns the instant from which on the Source renews the token.
func (t *Token) stale() instant {
	return t.end.add(-time.Duration(float64(t.lifetime) * float64(t.window)))
}

// unusable returns the instant from which on the Source does not hand the token
// out.
func (t *Token) unusable() instant {
	margin := time.Duration(float64(t.lifetime) * safetyMargin)
	return t.end.add(-min(margin, maxSafetyMargin))
}

// statesExpiry reports whether the token is a JWT that states its expiry.
func (t *Token) statesExpiry() bool {
	_, ok := timeClaim(readClaims(t.Reveal()), "exp")
	return ok
}

// Expired reports whether the token's life has ended, by the monotonic or by
// the wall clock.
func (t *Token) Expired() bool { return t.end.passed(t.source.now()) }

func (t *Token) serialOrZero() uint64 {
	if t == nil {
		return 0
	}
	return t.serial
}

// Lifetime returns the length of the token's life from its beginning to its
// expiry. It is not the time that is left. The package documentation says how
// the Source finds it.
func (t *Token) Lifetime() time.Duration { return t.lifetime }

// Claims returns the claims of the token if it is a JWT, and nil if it is
// opaque. Numbers are of type [json.Number].
//
// Claims does not verify the signature. A client cannot: Pismo signs with
// HS512, and only Pismo has the key. A client need not verify it either: it
// received the token from Pismo over TLS, and only uses the claims to handle
// the token well. RFC 6749, section 1.4, calls access tokens opaque to the
// client. Never authorize a caller by these claims.
func (t *Token) Claims() map[string]any {
	return readClaims(t.Reveal())
}

// Format implements [fmt.Formatter]. It prints what String returns, whatever
// the verb.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// String returns the serial number and the expiry.
func (t *Token) String() string {
	if t == nil {
		return "token <nil>"
	}
	return fmt.Sprintf("token %d, expires %s", t.serial, t.Expiry().UTC().Format(time.RFC3339))
}

// MarshalText implements [encoding.TextMarshaler] with what String returns.
func (t *Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue implements [slog.LogValuer].
func (t *Token) LogValue() slog.Value {
	if t == nil {
		return slog.StringValue(t.String())
	}
	return slog.GroupValue(
		slog.Uint64("serial", t.serial),
		slog.Time("expiry", t.Expiry().UTC()),
	)
}

// newToken returns the token of a grant. asked is the instant just before the
// request. It returns an error if the grant is unusable.
func (s *Source) newToken(account Account, grant Grant, asked instant) (*Token, *Error) {
	lifetime, err := grant.verify(account)
	if err != nil {
		return nil, err
	}
	scheme := bearer
	if grant.Bare {
		scheme = ""
	}
	born := asked.add(-min(max(grant.Age, 0), lifetime))
	t := &Token{
		end:           born.add(lifetime),
		lifetime:      lifetime,
		window:        renewalWindow * (1 + renewalJitter*(2*rand.Float32()-1)),
		source:        s,
		account:       account,
		authorization: NewSecret(scheme + grant.Token.Reveal()),
	}
	if t.unusable().passed(s.now()) {
		return nil, NewError(ErrMalformedResponse, errExpiredOnArrival)
	}
	t.serial = s.serials.Add(1)
	return t, nil
}
