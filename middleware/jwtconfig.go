// SPDX-License-Identifier: Apache-2.0

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

// JWTConfig is the configuration of [FromJWT]. Algorithms, Key, Issuer,
// Audience and either Claim or ClaimPath are required. No signer is trusted by
// default.
type JWTConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Algorithms are the accepted signing methods, as "RS256". The method
	// "none" is not allowed. Neither is a mixture of HMAC with other methods:
	// everybody can sign if a public key is taken for an HMAC secret.
	Algorithms []string

	// Key returns the key that verifies a token, as for jwt.Parse. With an empty
	// HMAC key or a nil key, no token is valid.
	//
	// An error of Key means that the token is not valid, for example because its
	// key id is unknown. It is answered 401. An outage is answered 503, because
	// the outage of a key server must not log every client out. These errors are
	// outages: [ErrVerifierUnavailable]; an error of the network or of a
	// context; an answer that breaks off or is not JSON; an error with a method
	// Timeout or Temporary that returns true. fs.ErrNotExist and errors of
	// url.Parse are not outages.
	//
	// Libraries that fetch keys return plain text errors for other outages, such
	// as a status 503 of the key server. Some return "key not found" until they
	// have fetched keys for the first time: github.com/MicahParks/keyfunc does
	// so while its Storage().KeyReadAll is empty. Return ErrVerifierUnavailable
	// in these cases.
	Key jwt.Keyfunc

	// Issuer is the required value of the claim iss. Audience is a required
	// value of the claim aud: a token for another program is not valid here.
	Issuer, Audience string

	// Claim is the name of the claim that holds the account id, as a string or
	// an integer. A dot in the name has no special meaning.
	Claim string

	// ClaimPath is the path to a nested claim, from the outside in:
	// {"app", "account"} for {"app":{"account":"102681871"}}. Set either Claim
	// or ClaimPath.
	ClaimPath []string

	// Options are further options of the parser, as jwt.WithLeeway. Their
	// requirements apply in addition to those of the fields above. For example,
	// a token needs the audiences of both. If options contradict the fields, no
	// token is valid.
	Options []jwt.ParserOption
}

// validate reports every fault of c.
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
		fault("Issuer", "is not set; give the iss of the tokens to accept")
	}
	if c.Audience == "" {
		fault("Audience", "is not set; give the aud of the tokens to accept")
	}
	switch {
	case c.Claim == "" && len(c.ClaimPath) == 0:
		fault("Claim", "is not set; name the claim that holds the account id, or set ClaimPath")
	case c.Claim != "" && len(c.ClaimPath) > 0:
		fault("ClaimPath", "is set, and Claim too; set only one")
	case slices.Contains(c.ClaimPath, ""):
		fault("ClaimPath", "has an empty name")
	}
	return errors.Join(faults...)
}

// withDefaults returns c with a ClaimPath in any case.
func (c JWTConfig) withDefaults() JWTConfig {
	if len(c.ClaimPath) == 0 {
		c.ClaimPath = []string{c.Claim}
	}
	return c
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
		reasons = append(reasons, "mixes HMAC with public keys; use one of the two, since a public key is not a secret")
	}
	return reasons
}

// allowedAlgorithms returns the Algorithms that the options allow too. It has a
// parser with these options parse a token of each method. The parser asks for a
// key only if it accepts the method.
func (c *JWTConfig) allowedAlgorithms() []string {
	parser := jwt.NewParser(c.Options...)
	methods := []string{} // Nil would allow all methods.
	for _, method := range c.Algorithms {
		accepted := false
		header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q}`, method))
		_, _ = parser.Parse(header+".e30.", func(*jwt.Token) (any, error) { // e30 is {}.
			accepted = true
			return nil, jwt.ErrTokenUnverifiable // The parser has accepted the method.
		})
		if accepted {
			methods = append(methods, method)
		}
	}
	return methods
}
