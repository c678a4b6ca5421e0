package tokensource

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// The life of a token. Both instants scale with it, so that a token of two
// seconds in a test and one of ten minutes in production behave alike.
const (
	// defaultLifetime is that of a token which does not tell its own.
	// Source: Pismo's documentation, "tokens expire after 10 minutes".
	defaultLifetime = 10 * time.Minute
	// maxLifetime is the longest life a token is trusted to have.
	maxLifetime = time.Hour
	// The last renewalWindow of a life is spent renewing ahead of expiry,
	// give or take renewalJitter, drawn once per token.
	renewalWindow = 0.25
	renewalJitter = 0.20
	// A token is not sent in the last safetyMargin of its life, or in the last
	// maxSafetyMargin if that is less: it has to arrive, too.
	safetyMargin    = 0.10
	maxSafetyMargin = 15 * time.Second
)

// A Token is an access token. It is safe for concurrent use.
//
// It is opaque: printing, logging or marshalling a Token shows its serial
// number and its expiry, never its value. Most code hands it to SetAuthHeader
// and looks no further.
type Token struct {
	stale instant // from here on a renewal runs in the background
	dead  instant // from here on it is not handed out
	end   instant // here its life ends

	// repeated says that the endpoint has handed the token out again. As there
	// is no other, it serves until the end of its life.
	repeated atomic.Bool
	evidence atomic.Pointer[evidence] // against it; nil as a rule

	source        *Source
	account       Account
	serial        uint64
	authorization Secret // scheme and token, ready for the header
	scheme        int    // length of the scheme with its space
	lifetime      time.Duration
}

// SetAuthHeader sets the Authorization field of h to this token, replacing
// what was there (RFC 6750, section 2.1).
func (t *Token) SetAuthHeader(h http.Header) {
	h["Authorization"] = []string{t.authorization.Reveal()}
}

// IsIn reports whether the Authorization of h is this token, and only it.
func (t *Token) IsIn(h http.Header) bool {
	values := h["Authorization"]
	return t != nil && len(values) == 1 && values[0] == t.authorization.Reveal()
}

// Reveal returns the token's value, without a scheme. It is for the rare
// caller who needs the string; whatever prints it leaks it.
func (t *Token) Reveal() string { return t.authorization.Reveal()[t.scheme:] }

// Account returns the account that the token was issued for.
func (t *Token) Account() Account { return t.account }

// Serial returns the token's number among those of its [Source]. It is not
// part of the token, and safe to print.
func (t *Token) Serial() uint64 { return t.serial }

// Expiry returns when the token expires by the local wall clock. The Source
// stops handing it out a little earlier.
func (t *Token) Expiry() time.Time { return time.Unix(0, t.end.wall) }

// expiring reports whether the token is too close to its end to be handed out.
func (t *Token) expiring(now instant) bool {
	if t.repeated.Load() {
		return t.end.passed(now)
	}
	return t.dead.passed(now)
}

// tellsExpiry reports whether the token is a JWT that says when it expires.
func (t *Token) tellsExpiry() bool {
	_, ok := timeClaim(readClaims(t.Reveal()), "exp")
	return ok
}

// Expired reports whether the token's life has ended, by whichever of the
// monotonic and the wall clock shows the larger age.
func (t *Token) Expired() bool { return t.end.passed(t.source.now()) }

func (t *Token) serialOrZero() uint64 {
	if t == nil {
		return 0
	}
	return t.serial
}

// Lifetime returns how long the token lives, from just before the request for
// it was sent.
func (t *Token) Lifetime() time.Duration { return t.lifetime }

// Claims returns the claims of the token if it is a JWT, and nil if it is
// opaque. Numbers are of type [json.Number].
//
// The signature is not verified, and cannot be: Pismo signs with HS512, whose
// key only Pismo has. That is right for a client, which needs the claims of a
// token only to treat it well, and got it from Pismo over TLS (RFC 6749,
// section 1.4, calls access tokens opaque to the client). Never let anybody in
// because of claims read this way.
func (t *Token) Claims() map[string]any {
	return readClaims(t.Reveal())
}

// Format implements [fmt.Formatter]: it prints the serial number and the
// expiry, whatever the verb.
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

// newToken makes the token of a grant, for an account that asked for it at the
// instant asked. A grant that is not fit for use is an error.
func (s *Source) newToken(account Account, grant Grant, asked instant) (*Token, *Error) {
	lifetime, err := grant.verify(account)
	if err != nil {
		return nil, err
	}
	scheme := "Bearer "
	if grant.Bare {
		scheme = ""
	}
	window := time.Duration(float64(lifetime) * renewalWindow * (1 + renewalJitter*(2*rand.Float64()-1)))
	margin := min(time.Duration(float64(lifetime)*safetyMargin), maxSafetyMargin)
	born := asked.add(-min(max(grant.Age, 0), lifetime))
	t := &Token{
		stale:         born.add(lifetime - window),
		dead:          born.add(lifetime - margin),
		end:           born.add(lifetime),
		source:        s,
		account:       account,
		authorization: NewSecret(scheme + grant.Token.Reveal()),
		scheme:        len(scheme),
		lifetime:      lifetime,
	}
	if t.dead.passed(s.now()) {
		return nil, NewError(ErrMalformedResponse, errDeadOnArrival)
	}
	t.serial = s.serials.Add(1)
	return t, nil
}
