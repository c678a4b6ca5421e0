package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
)

// JWTConfig is how inbound JWTs are verified. All but Options is required: there
// is no default for whom to trust.
type JWTConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Algorithms are the signing methods that are accepted, as "RS256". The
	// method "none" never is; nor is a mixture of HMAC with others, because
	// where a public key is taken for an HMAC secret everybody can sign.
	Algorithms []string

	// Key returns the key that verifies a token, as for jwt.Parse. An empty
	// HMAC key verifies nothing: everybody knows it.
	Key jwt.Keyfunc

	// Issuer is what the claim iss has to be, and Audience what the claim aud
	// has to contain: a token for another program is not for this one.
	Issuer, Audience string

	// Claim is the claim that holds the account id: a string, or an integer.
	Claim string

	// Options are further options of the parser, as jwt.WithLeeway. None
	// switches off what the fields above ask for.
	Options []jwt.ParserOption
}

// FromJWT returns a function that takes the account id from a claim of the JWT
// in the request's Authorization, after verifying its signature, its expiry,
// which it must have, its issuer and its audience. A request without a valid
// one fails with [ErrUnauthenticated], so that the client renews its own; one
// whose token names no account with [ErrForbidden]. Every fault in the
// configuration is reported.
func FromJWT(config JWTConfig) (AccountFunc, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	options := slices.Concat(config.Options, []jwt.ParserOption{
		jwt.WithValidMethods(config.Algorithms),
		jwt.WithIssuer(config.Issuer),
		jwt.WithAudience(config.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithJSONNumber(),
	})
	parser, validator := jwt.NewParser(options...), jwt.NewValidator(options...)
	key := withoutEmpty(config.Key)
	return func(r *http.Request) (tokensource.Account, error) {
		encoded, ok := bearer(r)
		if !ok {
			return tokensource.Account{}, ErrUnauthenticated
		}
		claims := jwt.MapClaims{}
		if _, err := parser.ParseWithClaims(encoded, claims, key); err != nil {
			return tokensource.Account{}, errors.Join(ErrUnauthenticated, err)
		}
		// Once more, as there is an option that makes the parser leave it out.
		if err := validator.Validate(claims); err != nil {
			return tokensource.Account{}, errors.Join(ErrUnauthenticated, err)
		}
		id, ok := claims[config.Claim]
		if !ok || id == nil {
			return tokensource.Account{}, ErrForbidden
		}
		return parse(fmt.Sprint(id)) // A json.Number prints as it was written.
	}, nil
}

func (c *JWTConfig) validate() error {
	var faults []error
	missing := func(field, remedy string) {
		faults = append(faults, &tokensource.ConfigError{Field: "JWTConfig." + field, Reason: remedy})
	}
	if len(c.Algorithms) == 0 {
		missing("Algorithms", `is empty; list the signing methods that you use, as "RS256"`)
	}
	hmac := 0
	for _, name := range c.Algorithms {
		if name == jwt.SigningMethodNone.Alg() || jwt.GetSigningMethod(name) == nil {
			missing("Algorithms", fmt.Sprintf("%q is not a signing method", name))
		}
		if strings.HasPrefix(name, "HS") {
			hmac++
		}
	}
	if hmac > 0 && hmac < len(c.Algorithms) {
		missing("Algorithms", "mixes HMAC with public keys; a public key is no secret")
	}
	if c.Key == nil {
		missing("Key", "is not set; return the key that verifies the token")
	}
	if c.Issuer == "" {
		missing("Issuer", "is not set; name whose tokens are accepted")
	}
	if c.Audience == "" {
		missing("Audience", "is not set; name whom the tokens are for")
	}
	if c.Claim == "" {
		missing("Claim", "is not set; name the claim that holds the account id")
	}
	return errors.Join(faults...)
}

var errEmptyKey = errors.New("pismoauth: JWTConfig.Key returned an empty key")

// withoutEmpty returns a Keyfunc that fails where key returns an empty HMAC
// key, as it does if it comes from a variable that nobody has set.
func withoutEmpty(key jwt.Keyfunc) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		found, err := key(token)
		keys := []jwt.VerificationKey{found}
		if set, ok := found.(jwt.VerificationKeySet); ok {
			keys = set.Keys
		}
		for _, k := range keys {
			if secret, ok := k.([]byte); ok && len(secret) == 0 {
				return nil, errEmptyKey
			}
		}
		return found, err
	}
}

// bearer returns the token of the request's only Authorization (RFC 6750,
// section 2.1).
func bearer(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer")
}
