// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// openIDPath is the path of the token endpoint for OpenID.
const openIDPath = "/passport/v1/oauth2/token"

// OpenIDConfig is what Pismo's Control Center has for OpenID. The zero
// OpenIDConfig takes the assertions of [Server.OpenIDIssuer].
type OpenIDConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Issuer, Subject, Audience and TenantID are the required claims iss, sub,
	// aud and tenant_id. Each has a default.
	Issuer, Subject, Audience, TenantID string

	// Groups are the permission groups, each with the endpoints that its
	// tokens reach, as patterns of [http.ServeMux]. The answer at any other
	// endpoint is 403. "/accounts/" does not reach "/accounts". Nil means that
	// every group exists and reaches every endpoint.
	Groups map[string][]string

	// MaxLifetime is the longest life of an assertion. 0 means one hour, as
	// Pismo documents.
	MaxLifetime time.Duration

	// RequireKeyID refuses assertions whose header has not the kid that
	// [Server.RegisterKey] returned.
	RequireKeyID bool

	// RefuseReuse refuses an assertion that got a token before.
	RefuseReuse bool
}

func (c OpenIDConfig) withDefaults() OpenIDConfig {
	c.Issuer = cmp.Or(c.Issuer, "openid@passporttest.invalid")
	c.Subject = cmp.Or(c.Subject, "TN-ab8b08af@passporttest.invalid")
	c.Audience = cmp.Or(c.Audience, "https://passporttest.invalid/identity")
	c.TenantID = cmp.Or(c.TenantID, tenant)
	c.MaxLifetime = cmp.Or(c.MaxLifetime, time.Hour)
	return c
}

// groupFaults reports the faults of the groups.
func (c OpenIDConfig) groupFaults() (faults []error) {
	if c.MaxLifetime < 0 {
		faults = append(faults, configError("OpenID.MaxLifetime", "is negative; leave it 0 for 1h"))
	}
	for _, patterns := range c.Groups {
		if newGroup(patterns) == nil {
			faults = append(faults, configError("OpenID.Groups", "holds a pattern that http.ServeMux does not accept"))
		}
	}
	return faults
}

// newGroup returns a mux that has the endpoints of a group, or nil if a pattern
// is not valid.
func newGroup(patterns []string) (group *http.ServeMux) {
	defer func() {
		if recover() != nil { // The only way in which ServeMux reports a fault.
			group = nil
		}
	}()
	group = http.NewServeMux()
	for _, pattern := range patterns {
		group.Handle(pattern, &reached{})
	}
	return group
}

// A reached is the handler of the endpoints in a group. ServeMux has handlers
// of its own for redirects and faults.
type reached struct {
	http.Handler // nil: it serves nothing
}

// openID is the state of the OpenID endpoint.
type openID struct {
	groups map[string]*http.ServeMux // nil: every group exists

	mu   sync.Mutex
	keys map[string]*rsa.PublicKey // by kid
	used map[[sha256.Size]byte]struct{}
}

func newOpenID(config OpenIDConfig) *openID {
	o := &openID{keys: map[string]*rsa.PublicKey{}, used: map[[sha256.Size]byte]struct{}{}}
	if config.Groups != nil {
		o.groups = map[string]*http.ServeMux{}
	}
	for name, patterns := range config.Groups {
		o.groups[name] = newGroup(patterns)
	}
	return o
}

// reaches reports whether tokens of a group reach the endpoint of a request.
func (o *openID) reaches(group string, r *http.Request) bool {
	if group == "" || o.groups == nil {
		return true
	}
	mux := o.groups[group]
	if mux == nil {
		return false
	}
	handler, _ := mux.Handler(r)
	_, ok := handler.(*reached)
	return ok
}

// RegisterKey registers a public key for OpenID, and returns its kid: the first
// 16 hexadecimal digits of its SHA-256 fingerprint. The other keys stay
// registered.
func (s *Server) RegisterKey(key *rsa.PublicKey) (kid string) {
	kid = keyID(key)
	s.openID.mu.Lock()
	defer s.openID.mu.Unlock()
	s.openID.keys[kid] = key
	return kid
}

// WithdrawKey withdraws a public key. Tokens issued with it stay valid.
func (s *Server) WithdrawKey(key *rsa.PublicKey) {
	s.openID.mu.Lock()
	defer s.openID.mu.Unlock()
	delete(s.openID.keys, keyID(key))
}

func keyID(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // Unreachable: the key is an RSA key.
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// OpenIDIssuer returns an issuer that gets its tokens from the fake server with
// assertions for a group. Register the public key with [Server.RegisterKey].
func (s *Server) OpenIDIssuer(key passport.Key, group string) *passport.OpenID {
	c := s.config.OpenID
	return &passport.OpenID{
		BaseURL:  s.URL(),
		Key:      key,
		Issuer:   c.Issuer,
		Subject:  c.Subject,
		Audience: c.Audience,
		TenantID: c.TenantID,
		Group:    group,
		Client:   s.Client(),
		Bare:     s.config.Bare,
	}
}

// parseAssertionRequest parses the fields of a token request with an assertion.
func parseAssertionRequest(fields map[string]json.RawMessage) tokenRequest {
	assertion := stringOf(fields["token"])
	if assertion == "" || len(fields) != 1 {
		return rejected(http.StatusBadRequest, "The request is not an object with the string token and nothing else")
	}
	return tokenRequest{assertion: assertion}
}
