package middleware

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
)

// JWTConfig is how inbound JWTs are verified. Algorithms, Key, Issuer, Audience
// and one of Claim and ClaimPath are required: there is no default for whom to
// trust.
type JWTConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Algorithms are the signing methods that are accepted, as "RS256". The
	// method "none" never is; nor is a mixture of HMAC with others, because
	// where a public key is taken for an HMAC secret everybody can sign.
	Algorithms []string

	// Key returns the key that verifies a token, as for jwt.Parse. An empty
	// HMAC key and a nil key verify nothing.
	//
	// An error of Key is a verdict on the token, as that its key id is unknown,
	// and answered 401, unless it is an outage, which is answered 503: a key
	// server that is down must not log every client out. These are outages:
	// [ErrVerifierUnavailable]; an error of the network or of a context; an
	// answer that breaks off or is not JSON; and whatever says of itself that
	// it is a timeout or temporary. fs.ErrNotExist and url.Parse's errors are
	// none.
	//
	// Libraries that fetch keys have errors with a text only for the rest, such
	// as a status 503 of the key server. And some say "key not found" as long
	// as they have fetched nothing: github.com/MicahParks/keyfunc does while its
	// Storage().KeyReadAll is empty. Return ErrVerifierUnavailable for these.
	Key jwt.Keyfunc

	// Issuer is what the claim iss has to be, and Audience what the claim aud
	// has to contain: a token for another program is not for this one.
	Issuer, Audience string

	// Claim is the claim that holds the account id: a string, or an integer.
	// The name is taken as it is; a dot in it is part of it.
	Claim string

	// ClaimPath is the way to a claim that is nested in others, from the
	// outside in: {"app", "account"} for {"app":{"account":"102681871"}}. It is
	// set instead of Claim.
	ClaimPath []string

	// Options are further options of the parser, as jwt.WithLeeway. What they
	// ask for holds in addition to the fields above: a token has to have both
	// audiences, for one, and options that contradict the fields let nobody in.
	Options []jwt.ParserOption
}

// issuedAtLeeway is how far ahead the clock of whoever signs may be, unless
// jwt.WithLeeway says so. Without it, a token that is used within the second in
// which it was issued is refused now and again.
const issuedAtLeeway = 5 * time.Second

// FromJWT returns a function that takes the account id from a claim of the JWT
// in the request's Authorization, after verifying its signature, its expiry,
// which it must have, its issuer, its audience and, if it has them, the times
// from which it is valid and at which it was issued: neither may be in the
// future. A token whose header has crit is refused: no extension is understood
// (RFC 7515, section 4.1.11).
//
// A request without a valid token fails with [ErrUnauthenticated], so that the
// client renews its own; one whose token names no account with [ErrForbidden];
// one whose token cannot be verified at the moment with
// [ErrVerifierUnavailable]. Every fault in the configuration is reported.
func FromJWT(config JWTConfig) (AccountFunc, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	v := newVerifier(config)
	path := config.ClaimPath
	if len(path) == 0 {
		path = []string{config.Claim}
	}
	return func(r *http.Request) (tokensource.Account, error) {
		encoded, ok := bearerToken(r)
		if !ok {
			return tokensource.Account{}, ErrUnauthenticated
		}
		claims, err := v.verify(encoded)
		switch {
		case errors.Is(err, ErrVerifierUnavailable):
			return tokensource.Account{}, err
		case err != nil:
			return tokensource.Account{}, errors.Join(ErrUnauthenticated, err)
		}
		id := claimAt(claims, path)
		if id == nil {
			return tokensource.Account{}, ErrForbidden
		}
		return parseAccount(fmt.Sprint(id)) // A json.Number prints as it was written.
	}, nil
}

// claimAt returns the claim at the end of a path, or nil.
func claimAt(claims map[string]any, path []string) any {
	for _, name := range path[:len(path)-1] {
		nested, ok := claims[name].(map[string]any)
		if !ok {
			return nil
		}
		claims = nested
	}
	return claims[path[len(path)-1]]
}

// A verifier verifies JWTs.
type verifier struct {
	key    jwt.Keyfunc
	parser *jwt.Parser
	// Each has to accept the claims: one has what the fields ask for, the other
	// what the options do. In one validator, the one would replace the other.
	validators []*jwt.Validator
}

func newVerifier(config JWTConfig) *verifier {
	issued := []jwt.ParserOption{jwt.WithLeeway(issuedAtLeeway)}
	return &verifier{
		key: config.Key,
		parser: jwt.NewParser(slices.Concat(config.Options, []jwt.ParserOption{
			jwt.WithValidMethods(config.allowedAlgorithms()),
			jwt.WithJSONNumber(),
			jwt.WithoutClaimsValidation(), // That is for the validators.
		})...),
		validators: []*jwt.Validator{
			jwt.NewValidator(slices.Concat(config.Options, []jwt.ParserOption{
				jwt.WithIssuer(config.Issuer),
				jwt.WithAudience(config.Audience),
				jwt.WithExpirationRequired(),
			})...),
			jwt.NewValidator(slices.Concat(issued, config.Options, []jwt.ParserOption{jwt.WithIssuedAt()})...),
		},
	}
}

// verify returns the claims of a token. Numbers are of type json.Number.
func (v *verifier) verify(encoded string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(encoded, claims, v.verificationKey); err != nil {
		return nil, err
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if number, ok := claims[name].(json.Number); ok && !isDate(number) {
			return nil, jwt.ErrTokenInvalidClaims
		}
	}
	for _, validator := range v.validators {
		if err := validator.Validate(claims); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// isDate reports whether a number of seconds is one that time can hold.
func isDate(seconds json.Number) bool {
	f, err := seconds.Float64()
	return err == nil && math.Abs(f) < 1<<53
}

// bearerToken returns the token of the request's only Authorization: the scheme and
// one or more spaces stand before it (RFC 6750, section 2.1).
func bearerToken(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimLeft(token, " "), ok && strings.EqualFold(scheme, "Bearer")
}
