// SPDX-License-Identifier: Apache-2.0

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

// issuedAtLeeway is the leeway for iat and nbf, unless jwt.WithLeeway sets
// another: the signer's clock may be that far ahead. Without it, a token that
// is used within the second in which it was issued is sometimes refused.
const issuedAtLeeway = 5 * time.Second

// FromJWT returns an AccountFunc that takes the account id from a claim of the
// JWT in the request's Authorization. It first verifies the JWT: its signature,
// issuer and audience, and its expiry, which is required. If the JWT has the
// claims nbf and iat, neither may be more than 5 s in the future, unless
// jwt.WithLeeway sets another leeway. A JWT whose header has crit is refused,
// since FromJWT supports no extension (RFC 7515, section 4.1.11).
//
// A request without a valid JWT fails with [ErrUnauthenticated], so that the
// client gets a new JWT. A request whose JWT names no account fails with
// [ErrForbidden]. A request whose JWT cannot be verified at the moment fails
// with [ErrVerifierUnavailable]. FromJWT reports every fault of the
// configuration.
func FromJWT(config JWTConfig) (AccountFunc, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	v := newVerifier(config)
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
		id := claimAt(claims, config.ClaimPath)
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
	// Each validator has to accept the claims. The first has the requirements of
	// JWTConfig's fields, the second those of the options. A single validator
	// would have only one of the two audiences, for example.
	validators []*jwt.Validator
}

func newVerifier(config JWTConfig) *verifier {
	issued := []jwt.ParserOption{jwt.WithLeeway(issuedAtLeeway)}
	return &verifier{
		key: config.Key,
		parser: jwt.NewParser(slices.Concat(config.Options, []jwt.ParserOption{
			jwt.WithValidMethods(config.allowedAlgorithms()),
			jwt.WithJSONNumber(),
			jwt.WithoutClaimsValidation(), // The validators do that.
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

// isDate reports whether the package time can represent a number of seconds.
func isDate(seconds json.Number) bool {
	f, err := seconds.Float64()
	return err == nil && math.Abs(f) < 1<<53
}

// bearerToken returns the token of the request's only Authorization. The scheme
// and one or more spaces precede the token (RFC 6750, section 2.1).
func bearerToken(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimLeft(token, " "), ok && strings.EqualFold(scheme, "Bearer")
}
