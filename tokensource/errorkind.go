// SPDX-License-Identifier: Apache-2.0

package tokensource

// An ErrorKind is the reason why there is no token. The list is closed. An
// ErrorKind is also an error, so that a caller can test for one:
//
//	if errors.Is(err, tokensource.ErrRateLimited) { … }
//
// Its string value is stable, and can be used as an attribute of a metric.
type ErrorKind string

// The kinds of [Error].
const (
	// ErrCredentialsRejected: the token endpoint rejected the credentials, or
	// rejected so many accounts that the credentials must be the cause.
	ErrCredentialsRejected ErrorKind = "credentials_rejected"
	// ErrAccountRejected: the token endpoint rejected the request for this
	// account. The endpoint gives the same answer to wrong credentials.
	ErrAccountRejected ErrorKind = "account_rejected"
	// ErrAccountMismatch: the response held a token for another account
	// than the requested one. The Source discarded it.
	ErrAccountMismatch ErrorKind = "account_mismatch"
	// ErrRateLimited: the token endpoint answered 429.
	ErrRateLimited ErrorKind = "rate_limited"
	// ErrUnavailable: the token endpoint could not be reached, or answered
	// with a server error or with the page of an intermediary.
	ErrUnavailable ErrorKind = "unavailable"
	// ErrTimeout: no response arrived within the issuance's time limit, or the
	// caller's own deadline passed before or during the wait.
	ErrTimeout ErrorKind = "timeout"
	// ErrMalformedResponse: the token endpoint's response is not a usable
	// token.
	ErrMalformedResponse ErrorKind = "malformed_response"
	// ErrOverloaded: the Source, not the endpoint, is overloaded. Too many
	// issuances wait for a slot, or this one waited too long.
	ErrOverloaded ErrorKind = "overloaded"
	// ErrRenewalLimited: the account's budget for renewals is spent. See
	// [Source.Renew].
	ErrRenewalLimited ErrorKind = "renewal_limited"
	// ErrIssuerPanic: the [Issuer] or the hook Issue panicked, or that hook
	// returned a nil context.
	ErrIssuerPanic ErrorKind = "issuer_panic"
	// ErrCanceled: the caller's context was canceled before or during the wait.
	// errors.Is(err, context.Canceled) holds too.
	ErrCanceled ErrorKind = "canceled"
	// ErrMisconfigured: the program or its configuration makes the request
	// impossible. No request was sent.
	ErrMisconfigured ErrorKind = "misconfigured"
)

// explanations are the texts that [ErrorKind.Error] returns. Each says what
// failed and, if possible, what to do. They hold nothing that came from
// outside.
var explanations = map[ErrorKind]string{
	ErrCredentialsRejected: "the token endpoint rejected the credentials; compare them with Pismo's Control Center",
	ErrAccountRejected:     "the token endpoint rejected the account, or the credentials",
	ErrAccountMismatch:     "the token endpoint answered with a token for another account, which was discarded",
	ErrRateLimited:         "the token endpoint limits the rate of requests",
	ErrUnavailable:         "the token endpoint is unavailable",
	ErrTimeout:             "no token arrived within the time limit",
	ErrMalformedResponse:   "the token endpoint answered without a usable token",
	ErrOverloaded:          "too many token requests are waiting",
	ErrRenewalLimited:      "tokens of this account are refused too often, so renewals are limited",
	ErrIssuerPanic:         "the issuer or a hook panicked",
	ErrCanceled:            "the caller canceled its request before a token arrived",
	ErrMisconfigured:       "no token request was made because the configuration is wrong",
}

// Error returns the meaning of the kind in a sentence.
func (k ErrorKind) Error() string {
	if text, ok := explanations[k]; ok {
		return "pismoauth: " + text
	}
	return "pismoauth: " + string(k)
}

// isPermanent reports whether only a person can remove the cause.
func (k ErrorKind) isPermanent() bool {
	switch k {
	case ErrCredentialsRejected, ErrAccountRejected, ErrAccountMismatch, ErrIssuerPanic, ErrMisconfigured:
		return true
	}
	return false
}
