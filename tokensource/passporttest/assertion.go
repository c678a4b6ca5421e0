// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
)

// An AssertionFault says why the token endpoint refused an assertion. It is a
// constant of this package, or the name of a faulty claim, such as "aud".
type AssertionFault string

// The faults of assertions that are not faults of a claim.
const (
	// FaultFormat: the assertion is not a JWT of three parts.
	FaultFormat AssertionFault = "format"
	// FaultHeader: the header has fields other than alg, typ and kid, or a typ
	// other than JWT.
	FaultHeader AssertionFault = "header"
	// FaultAlgorithm: the algorithm is not RS256.
	FaultAlgorithm AssertionFault = "algorithm"
	// FaultKeyID: OpenIDConfig.RequireKeyID is set, and no registered key has
	// the kid.
	FaultKeyID AssertionFault = "kid"
	// FaultSignature: no registered key fits the signature.
	FaultSignature AssertionFault = "signature"
	// FaultUnknownClaim: there is a claim that Pismo does not document.
	FaultUnknownClaim AssertionFault = "unknown claim"
	// FaultExpired: the assertion has expired by the fake server's clock.
	FaultExpired AssertionFault = "expired"
	// FaultFuture: the iat is in the future by the fake server's clock.
	FaultFuture AssertionFault = "future"
	// FaultLifetime: the exp is not after the iat, or too long after it.
	FaultLifetime AssertionFault = "lifetime"
	// FaultAccount: the account does not exist, or uid and external_account_id
	// name different accounts.
	FaultAccount AssertionFault = "account"
	// FaultReused: OpenIDConfig.RefuseReuse is set, and the assertion got a
	// token before.
	FaultReused AssertionFault = "reused"
)

// readAssertion checks an assertion, and adds what it asks for to the request.
func (s *Server) readAssertion(request *tokenRequest) AssertionFault {
	header, claims, fault := s.verify(request.assertion)
	if fault != "" {
		return fault
	}
	if header["typ"] != "JWT" || hasOther(header, "alg", "typ", "kid") {
		return FaultHeader
	}
	if fault := s.config.OpenID.checkClaims(claims); fault != "" {
		return fault
	}
	if fault := checkTimes(claims, s.now(), s.config.OpenID.MaxLifetime); fault != "" {
		return fault
	}
	if request.group = groupOf(claims); request.group == "" || s.openID.groups != nil && s.openID.groups[request.group] == nil {
		return "pismo"
	}
	return s.readAccount(request, claims)
}

// checkClaims checks the claims that are the same in all assertions, and that
// there is no unknown claim.
func (c OpenIDConfig) checkClaims(claims jwt.MapClaims) AssertionFault {
	for name, want := range map[string]string{"iss": c.Issuer, "sub": c.Subject, "aud": c.Audience} {
		if claims[name] != want {
			return AssertionFault(name)
		}
	}
	if id, ok := claims["tenant_id"].(string); !ok || !strings.EqualFold(id, c.TenantID) {
		return "tenant_id"
	}
	if hasOther(claims, "iss", "sub", "aud", "iat", "exp", "tenant_id", "uid", "external_account_id", "pismo", "customClaims") {
		return FaultUnknownClaim
	}
	if custom, ok := claims["customClaims"]; ok {
		if _, ok := custom.(map[string]any); !ok {
			return "customClaims"
		}
	}
	return ""
}

// verify returns the header and the claims of an assertion whose signature fits
// a registered key.
func (s *Server) verify(assertion string) (header map[string]any, claims jwt.MapClaims, fault AssertionFault) {
	parser := jwt.NewParser(jwt.WithJSONNumber(), jwt.WithoutClaimsValidation())
	unverified, _, err := parser.ParseUnverified(assertion, jwt.MapClaims{})
	switch {
	case err != nil:
		return nil, nil, FaultFormat
	case unverified.Header["alg"] != "RS256":
		return nil, nil, FaultAlgorithm
	}
	kid, _ := unverified.Header["kid"].(string)
	s.openID.mu.Lock()
	named, known := s.openID.keys[kid]
	var keys []jwt.VerificationKey
	for _, key := range s.openID.keys {
		keys = append(keys, key)
	}
	s.openID.mu.Unlock()
	switch {
	case s.config.OpenID.RequireKeyID && !known:
		return nil, nil, FaultKeyID
	case known:
		keys = []jwt.VerificationKey{named}
	case len(keys) == 0:
		return nil, nil, FaultSignature
	}
	claims = jwt.MapClaims{}
	verified, err := parser.ParseWithClaims(assertion, claims, func(token *jwt.Token) (any, error) {
		if token.Method != jwt.SigningMethodRS256 {
			return nil, errors.New("the algorithm is not RS256")
		}
		return jwt.VerificationKeySet{Keys: keys}, nil
	})
	if err != nil {
		return nil, nil, FaultSignature
	}
	return verified.Header, claims, ""
}

// hasOther reports whether fields has a name other than those known.
func hasOther(fields map[string]any, known ...string) bool {
	found := 0
	for _, name := range known {
		if _, ok := fields[name]; ok {
			found++
		}
	}
	return found != len(fields)
}

// checkTimes checks iat and exp, which must be integers.
func checkTimes(claims jwt.MapClaims, now time.Time, longest time.Duration) AssertionFault {
	var times [2]int64
	for i, name := range []string{"iat", "exp"} {
		number, _ := claims[name].(json.Number)
		n, err := number.Int64()
		if err != nil {
			return AssertionFault(name)
		}
		times[i] = n
	}
	issued, expires := times[0], times[1]
	switch {
	case expires <= issued || expires-issued > int64(longest/time.Second):
		return FaultLifetime
	case issued > now.Unix():
		return FaultFuture
	case expires <= now.Unix():
		return FaultExpired
	}
	return ""
}

// groupOf returns the permission group, or "" if the claim pismo is not an
// object with a group and nothing else.
func groupOf(claims jwt.MapClaims) string {
	object, _ := claims["pismo"].(map[string]any)
	if len(object) != 1 {
		return ""
	}
	group, _ := object["group"].(string)
	return group
}

// externalPrefix precedes the id of an account in its external id.
const externalPrefix = "external-"

// readAccount adds the account that the claims name to the request.
func (s *Server) readAccount(request *tokenRequest, claims jwt.MapClaims) AssertionFault {
	if value, ok := claims["uid"]; ok {
		if request.account, ok = s.config.OpenID.accountOf(value); !ok {
			return "uid"
		}
	}
	if value, ok := claims["external_account_id"]; ok {
		external, ok := value.(string)
		if !ok || external == "" {
			return "external_account_id"
		}
		id, found := strings.CutPrefix(external, externalPrefix)
		if !found || !isAccountID(id) || request.account != "" && request.account != id {
			return FaultAccount
		}
		request.account, request.externalAccount = id, external
	}
	if !s.exists(request.account) {
		return FaultAccount
	}
	return ""
}

// accountOf returns the account that a uid names: "" is the organization, which
// the tenant's id names. It returns false if the uid names neither.
func (c OpenIDConfig) accountOf(claim any) (account string, ok bool) {
	uid, _ := claim.(string)
	switch {
	case strings.EqualFold(uid, c.TenantID):
		return "", true
	case isAccountID(uid):
		return uid, true
	}
	return "", false
}

func isAccountID(id string) bool {
	_, err := tokensource.ParseAccountID(id)
	return err == nil
}

// reuse reports whether an assertion got a token before. It notes the
// assertion.
func (o *openID) reuse(assertion string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	// Whatever follows the signed part is not signed: it may differ in padding.
	signed := []byte(assertion)
	sum := sha256.Sum256(signed[:max(bytes.LastIndexByte(signed, '.'), 0)])
	_, used := o.used[sum]
	o.used[sum] = struct{}{}
	return used
}
