package middleware

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
)

func (c *JWTConfig) validate() error {
	var faults []error
	fault := func(field, reason string) {
		faults = append(faults, &tokensource.ConfigError{Field: "JWTConfig." + field, Reason: reason})
	}
	for _, reason := range c.validateAlgorithms() {
		fault("Algorithms", reason)
	}
	if c.Key == nil {
		fault("Key", "is not set; return the key that verifies the token")
	}
	if c.Issuer == "" {
		fault("Issuer", "is not set; name whose tokens are accepted")
	}
	if c.Audience == "" {
		fault("Audience", "is not set; name whom the tokens are for")
	}
	switch {
	case c.Claim == "" && len(c.ClaimPath) == 0:
		fault("Claim", "is not set; name the claim that holds the account id, or the way to it in ClaimPath")
	case c.Claim != "" && len(c.ClaimPath) > 0:
		fault("ClaimPath", "is set, and Claim too; only one can hold the account id")
	case slices.Contains(c.ClaimPath, ""):
		fault("ClaimPath", "has an empty name")
	}
	return errors.Join(faults...)
}

func (c *JWTConfig) validateAlgorithms() (reasons []string) {
	if len(c.Algorithms) == 0 {
		reasons = append(reasons, `is empty; list the signing methods that you use, as "RS256"`)
	}
	hmac := 0
	for _, name := range c.Algorithms {
		if name == jwt.SigningMethodNone.Alg() || jwt.GetSigningMethod(name) == nil {
			reasons = append(reasons, fmt.Sprintf("%q is not a signing method", name))
		}
		if strings.HasPrefix(name, "HS") {
			hmac++
		}
	}
	if hmac > 0 && hmac < len(c.Algorithms) {
		reasons = append(reasons, "mixes HMAC with public keys; a public key is no secret")
	}
	return reasons
}

// allowedAlgorithms returns those of the Algorithms that the options allow. It has a
// parser with the options look at a token of each; the parser asks for a key
// only if it accepts the method.
func (c *JWTConfig) allowedAlgorithms() []string {
	parser := jwt.NewParser(c.Options...)
	methods := []string{} // Not nil, which would allow all.
	for _, method := range c.Algorithms {
		accepted := false
		header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q}`, method))
		_, _ = parser.Parse(header+".e30.", func(*jwt.Token) (any, error) { // e30 is {}.
			accepted = true
			return nil, jwt.ErrTokenUnverifiable // It is about the method only.
		})
		if accepted {
			methods = append(methods, method)
		}
	}
	return methods
}
