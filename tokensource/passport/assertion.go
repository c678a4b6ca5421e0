// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// clockTolerance is how far iat lies before the local time, so that an endpoint
// whose clock is a little behind does not see an assertion of the future.
const clockTolerance = 30 * time.Second

// The claims of an assertion. Source: Pismo's pages "Authentication with
// OpenID" and "External ID access tokens".
const (
	claimUID             = "uid"
	claimExternalAccount = "external_account_id"
	claimCustom          = "customClaims"
)

// ownClaims are the claims that OpenID sets itself. customClaims must not have
// them either: an endpoint that copies custom claims into the token would
// replace the real claim.
var ownClaims = []string{
	"iss", "sub", "aud", "iat", "exp", "tenant_id", claimUID, "account_id", claimExternalAccount, "pismo", claimCustom,
}

// The causes of ErrMisconfigured that are found in custom claims.
var (
	errUnencodableClaims = errors.New("OpenID.Claims: a claim cannot be encoded as JSON")
	errClaimsFailed      = errors.New("OpenID.Claims: the function failed")
)

// claims returns the claims of an assertion for account, without iat and exp.
func (o *OpenID) claims(ctx context.Context, account tokensource.Account) (map[string]any, error) {
	claims := map[string]any{
		"iss":       o.Issuer,
		"sub":       o.Subject,
		"aud":       o.Audience, // A string: the samples have no array.
		"tenant_id": o.TenantID,
		"pismo":     map[string]string{"group": o.Group},
	}
	uid := ""
	switch account.Kind() {
	case tokensource.KindOrganization:
		uid = o.OrganizationUID
	case tokensource.KindAccount:
		uid = account.ID()
	case tokensource.KindExternalAccount:
		claims[claimExternalAccount] = account.ID()
		if o.UID != nil {
			uid = o.UID(account)
			if reason := textFault(uid); reason != "" {
				return nil, tokensource.NewError(tokensource.ErrMisconfigured, tokensource.SafeError("OpenID.UID: the result "+reason, nil))
			}
		}
	default:
		return nil, explainConstant(tokensource.ErrMisconfigured, errZeroAccount)
	}
	if uid != "" {
		claims[claimUID] = uid
	}
	custom, err := o.customClaims(ctx, account)
	if err != nil {
		return nil, err
	}
	if custom != nil {
		claims[claimCustom] = custom
	}
	return claims, nil
}

// customClaims returns the encoded claim customClaims, or nil for none.
func (o *OpenID) customClaims(ctx context.Context, account tokensource.Account) (json.RawMessage, error) {
	if o.Claims == nil {
		return nil, nil
	}
	custom, err := o.Claims(ctx, account)
	if err != nil {
		return nil, claimsError(ctx, err)
	}
	for _, name := range ownClaims {
		if _, ok := custom[name]; ok {
			return nil, tokensource.NewError(tokensource.ErrMisconfigured,
				tokensource.SafeError("OpenID.Claims: the claim "+name+" is set by OpenID itself; remove it", nil))
		}
	}
	if len(custom) == 0 {
		return nil, nil
	}
	encoded, err := json.Marshal(custom)
	if err != nil {
		// The error of encoding/json may quote a value.
		return nil, explainConstant(tokensource.ErrMisconfigured, errUnencodableClaims)
	}
	return encoded, nil
}

// claimsError returns the error of a failed OpenID.Claims.
func claimsError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return e
	}
	kind := tokensource.ErrMisconfigured
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		kind = tokensource.ErrTimeout
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		kind = tokensource.ErrCanceled
	case errors.Is(err, context.Canceled):
		err = notCanceled(err)
	}
	return tokensource.NewError(kind, errors.Join(tokensource.SafeError(errClaimsFailed.Error(), nil), err))
}

// assertion returns a JWT (RFC 7519) with the claims and the present time,
// signed with RS256 (RFC 7518, section 3.3). An assertion is a credential. It
// is not kept: each request has its own.
func (o *OpenID) assertion(ctx context.Context, key *signingKey, claims map[string]any) (tokensource.Secret, error) {
	header := map[string]string{"alg": "RS256", "typ": "JWT"}
	if o.KeyID != "" {
		header["kid"] = o.KeyID
	}
	issued := time.Now().Add(-clockTolerance).Unix()
	claims = maps.Clone(claims)
	claims["iat"] = issued
	claims["exp"] = issued + int64(o.lifetime()/time.Second)

	signed, err := segments(header, claims)
	if err != nil {
		return tokensource.Secret{}, explainConstant(tokensource.ErrMisconfigured, errUnencodableClaims) // Not reached.
	}
	signature, err := key.sign(ctx, signed)
	if err != nil {
		return tokensource.Secret{}, err
	}
	return tokensource.NewSecret(string(signed) + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}

// segments returns the first two parts of a JWT: what is signed.
func segments(header map[string]string, claims map[string]any) ([]byte, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	signed := base64.RawURLEncoding.AppendEncode(nil, head)
	return base64.RawURLEncoding.AppendEncode(append(signed, '.'), payload), nil
}

// A datedTransport notes by how much the clock of the endpoint differs.
type datedTransport struct {
	retirableTransport

	clockDifference time.Duration // how far the local clock is ahead
}

// RoundTrip implements [http.RoundTripper].
func (t *datedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.retirableTransport.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	// A cache adds an Age, and its Date need not be the endpoint's.
	if date := endpointTime(resp.Header); !date.IsZero() && len(resp.Header["Age"]) == 0 {
		t.clockDifference = time.Since(date)
	}
	return resp, nil
}

// minClockDifference is the smallest difference of clocks that an error
// mentions. A Date has whole seconds, and an answer may be on its way for a
// while.
const minClockDifference = 5 * time.Second

// explainRefusal returns err with an explanation if it is a 401.
func explainRefusal(err error, key *signingKey, ahead time.Duration) error {
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok || e.StatusCode != http.StatusUnauthorized {
		return err
	}
	text := "the key was refused"
	if e.Kind == tokensource.ErrAccountRejected {
		text = "the account does not exist, or the key was refused"
	}
	text += ": " + key.name + ", SHA-256 of the public key " + key.shortFingerprint() +
		"; compare the key, the issuer, the subject and the audience with Control Center"
	switch {
	case ahead >= minClockDifference:
		text += "; the local clock differs by " + wholeSeconds(ahead) + " (it is ahead of the endpoint's)"
	case ahead <= -minClockDifference:
		text += "; the local clock differs by " + wholeSeconds(-ahead) + " (it is behind the endpoint's)"
	}
	explained := tokensource.NewError(e.Kind, tokensource.SafeError(text, nil))
	explained.StatusCode, explained.RetryAfter, explained.CorrelationID = e.StatusCode, e.RetryAfter, e.CorrelationID
	return explained
}

func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(d.Round(time.Second)/time.Second), 10) + " s"
}
