// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// OpenID issues tokens for assertions that a private key has signed. Pismo
// prefers this way to a token, and Visa Pay's production accepts no other.
// OpenID is a [tokensource.Issuer] for the organization, for accounts named by
// their Pismo id, and for accounts named by an external id.
//
// BaseURL, Key, Issuer, Subject, Audience, TenantID and Group are required.
// Pismo gives each customer the values: a wrong value looks like a wrong key,
// so none has a default, and a text with a line break, a space around it, or
// bytes that are not UTF-8 is a fault. tokensource.New reports every fault. Do
// not change an OpenID that is in use. Its methods are then safe for concurrent
// use.
//
// A token is valid for one account and one permission group. For requests that
// need different groups, make a Source for each group, and choose between them
// with transport.NewRouter.
//
// Printed, logged or marshalled, an OpenID shows only the host of its BaseURL.
type OpenID struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// BaseURL, Client, Header, Bare and DangerouslyAllowHTTP are as in [S2S].
	BaseURL              string
	Client               *http.Client
	Header               http.Header
	Bare                 bool
	DangerouslyAllowHTTP bool

	// TokenPath is the path of the token endpoint below the BaseURL. Empty
	// means "passport/v1/oauth2/token".
	TokenPath string

	// Key signs the assertions: [FileKey] or [SignerKey]. Required.
	Key Key

	// Issuer, Subject and Audience are the claims iss, sub and aud. Required.
	Issuer, Subject, Audience string

	// TenantID is the organization's id, the claim tenant_id. OpenID does not
	// change its case. Required.
	TenantID string

	// Group is the permission group of the tokens, such as
	// "pismo-v1:accounts:rw". It decides which endpoints the tokens reach.
	// Required.
	Group string

	// AssertionLifetime is how long an assertion is valid: whole seconds, from a
	// minute to an hour. 0 means an hour. A person who has an assertion can get
	// tokens with it.
	AssertionLifetime time.Duration

	// OrganizationUID is the claim uid in assertions for the organization.
	// Empty omits the claim.
	OrganizationUID string

	// UID returns the claim uid for an external account, beside the claim
	// external_account_id. Nil, or an empty result, omits the claim. A result
	// that could not be a field of OpenID is ErrMisconfigured.
	UID func(tokensource.Account) string

	// KeyID is the field kid in the header of assertions. Empty omits the
	// field, since Pismo documents none.
	KeyID string

	// Claims returns the claim customClaims, or nil for none. A name that
	// OpenID sets itself is an error. All callers that need a token for the
	// account share that token, so the claims must depend on the account only,
	// and ctx has none of a caller's values. An error is ErrMisconfigured,
	// unless it is a [*tokensource.Error]. Its text is shown only if
	// [tokensource.SafeError] made the error.
	Claims func(ctx context.Context, account tokensource.Account) (map[string]any, error)
}

// openIDPath is the default of TokenPath. Source: Pismo's OpenAPI file
// "Platform authentication".
const openIDPath = "passport/v1/oauth2/token"

// The limits of AssertionLifetime. Pismo documents the longest.
const (
	minAssertionLifetime = time.Minute
	maxAssertionLifetime = time.Hour
)

// Validate reports every fault of the fields, as [*tokensource.ConfigError]
// values joined by errors.Join. It returns nil if there is no fault. It sends
// no request and reads no file. It asks a crypto.Signer for its public key. No
// fault repeats a value. [tokensource.New] calls Validate.
func (o *OpenID) Validate() error {
	if err := o.validate(); err != nil {
		return err
	}
	return o.Key.keys.validate()
}

// validate is Validate without the public keys of signers.
func (o *OpenID) validate() error {
	if o == nil {
		return &tokensource.ConfigError{Field: "OpenID", Reason: "is nil; set its BaseURL and Key"}
	}
	faults := []error{baseURLFault("OpenID", o.BaseURL, o.DangerouslyAllowHTTP)}
	if o.Key.keys == nil {
		faults = append(faults, faultOf("OpenID", "Key", "is not set; use FileKey or SignerKey, with an argument that is not empty"))
	}
	for _, field := range []struct{ name, value string }{
		{"Issuer", o.Issuer}, {"Subject", o.Subject}, {"Audience", o.Audience}, {"TenantID", o.TenantID}, {"Group", o.Group},
	} {
		if field.value == "" {
			faults = append(faults, faultOf("OpenID", field.name, "is not set; use the value that Pismo gave you"))
		}
	}
	faults = append(faults, o.textFaults()...)
	if d := o.lifetime(); d < minAssertionLifetime || d > maxAssertionLifetime || d%time.Second != 0 {
		faults = append(faults, faultOf("OpenID", "AssertionLifetime", "is not a whole number of seconds from a minute to an hour; leave it 0 for an hour"))
	}
	return errors.Join(append(faults, headerFaults("OpenID", o.Header)...)...)
}

// Issue requests a token from Passport. Each call sends a request with a new
// assertion. Most code calls [tokensource.Source.Token] instead, which keeps
// the token.
//
// If the endpoint answers 401, or if a key cannot be used, and Key has another
// key, Issue tries that key once. The key that works is the first to be used
// afterwards. So a 401 for an account that does not exist costs one more
// request while there are two keys. If no key works, the error is that of the
// first 401, or else that of the first key.
//
// Errors are those of [S2S.Issue], with these differences. The text of a 401
// has the fingerprint of the refused public key, and the difference of the
// clocks if it is more than a few seconds: unlike the tokens of S2S, assertions
// need a right clock. A key that cannot be read, a signer whose key is
// unsuitable, and a signature that does not fit the public key are
// ErrMisconfigured. A signer that fails is ErrUnavailable. A signer that does
// not return is left behind shortly before the deadline of ctx, with
// ErrTimeout.
func (o *OpenID) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	if err := o.validate(); err != nil {
		return tokensource.Grant{}, tokensource.NewError(tokensource.ErrMisconfigured, err)
	}
	claims, err := o.claims(ctx, account)
	if err != nil {
		return tokensource.Grant{}, err
	}
	return o.issueWithAnyKey(ctx, claims, account)
}

// issueWith requests a token with an assertion that key has signed.
func (o *OpenID) issueWith(ctx context.Context, key *signingKey, assertion tokensource.Secret, account tokensource.Account) (tokensource.Grant, error) {
	body, err := json.Marshal(map[string]string{"token": assertion.Reveal()})
	if err != nil {
		return tokensource.Grant{}, explainConstant(tokensource.ErrMisconfigured, errUnencodableClaims) // Not reached.
	}
	req, err := tokenRequest(ctx, o.BaseURL, o.tokenPath(), o.Header, body)
	if err != nil {
		return tokensource.Grant{}, err
	}
	rt := &datedTransport{retirableTransport: nextTransport(o, o.Client)}
	grant, err := exchange(o.Client, rt, req, account.Kind())
	if err != nil {
		return tokensource.Grant{}, explainRefusal(err, key, rt.clockDifference)
	}
	grant.Bare = o.Bare
	return grant, nil
}

func (o *OpenID) tokenPath() string {
	if o.TokenPath == "" {
		return openIDPath
	}
	return o.TokenPath
}

func (o *OpenID) lifetime() time.Duration {
	if o.AssertionLifetime == 0 {
		return maxAssertionLifetime
	}
	return o.AssertionLifetime
}

// Revision returns a string that changes when the keys change, so that a
// [tokensource.Source] tries again at once with a new key after a refusal. It
// does not depend on the time. It reads the keys and reveals nothing about
// them: the revision is a hash of the public keys and of the claims that are
// the same in all assertions, with a random key that does not leave the
// process. It returns "" if no key can be read.
func (o *OpenID) Revision(ctx context.Context) string {
	if o == nil || o.Key.keys == nil {
		return ""
	}
	keys, err := o.Key.keys.load(ctx)
	if err != nil {
		return ""
	}
	// The order of load depends on which key worked. The order of the files is
	// no part of the credentials.
	var sum uint64
	for _, key := range keys {
		sum ^= maphash.Comparable(revisionSeed, key.fingerprint)
	}
	sum ^= maphash.Comparable(revisionSeed, [5]string{o.Issuer, o.Subject, o.Audience, o.TenantID, o.Group})
	return strconv.FormatUint(sum, 16)
}

// Scope returns the values that, beside the key, determine the tokens: the kind
// of the issuer, the base URL, the tenant, the permission group, and the claims
// iss, sub and aud. Package fleet never shares a token between two scopes. If
// Claims, UID or Header determine the tokens too, say so in fleet.Config.Scope.
// An issuer of your own that wraps an OpenID must have a method Scope that
// returns this value: otherwise fleet shares tokens between groups.
func (o *OpenID) Scope() string {
	return scopeOf("OpenID", o.BaseURL, o.tokenPath(), o.TenantID, o.Group, o.Issuer, o.Subject, o.Audience, o.OrganizationUID)
}

// String returns the host of the BaseURL. The methods for printing have a value
// receiver, because programs print OpenID values as well as pointers.
func (o OpenID) String() string { return describe("OpenID", o.BaseURL) }

// Format implements [fmt.Formatter]: every verb prints the result of String.
func (o OpenID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// MarshalText implements [encoding.TextMarshaler] with the result of String.
func (o OpenID) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// LogValue implements [slog.LogValuer] with the result of String.
func (o OpenID) LogValue() slog.Value { return slog.StringValue(o.String()) }
