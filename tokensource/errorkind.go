package tokensource

// An ErrorKind says why there is no token. The list is closed. An ErrorKind is an
// error itself, so that a caller can ask for one by name:
//
//	if errors.Is(err, tokensource.ErrRateLimited) { … }
//
// Its string value is stable, and fit for an attribute of a metric.
type ErrorKind string

// The kinds of [Error].
const (
	// ErrCredentialsRejected: the token endpoint does not accept the
	// credentials, or has refused three different accounts in a row.
	ErrCredentialsRejected ErrorKind = "credentials_rejected"
	// ErrAccountRejected: the token endpoint refused a token for this account.
	ErrAccountRejected ErrorKind = "account_rejected"
	// ErrAccountMismatch: the answer was a token for another account than the
	// one asked for. It was thrown away.
	ErrAccountMismatch ErrorKind = "account_mismatch"
	// ErrRateLimited: the token endpoint answered 429.
	ErrRateLimited ErrorKind = "rate_limited"
	// ErrUnavailable: the token endpoint could not be reached, or answered
	// with a server error or with a page of something in front of it.
	ErrUnavailable ErrorKind = "unavailable"
	// ErrTimeout: there was no answer within the issuance's time limit, or
	// the caller's own deadline passed while it waited.
	ErrTimeout ErrorKind = "timeout"
	// ErrMalformedResponse: the token endpoint answered with something that
	// is not a token.
	ErrMalformedResponse ErrorKind = "malformed_response"
	// ErrOverloaded: too many accounts wait for an issuance already.
	ErrOverloaded ErrorKind = "overloaded"
	// ErrRenewalLimited: tokens of this account were refused so often that
	// renewing has to wait; see [Source.Renew].
	ErrRenewalLimited ErrorKind = "renewal_limited"
	// ErrIssuerPanic: the [Issuer] panicked.
	ErrIssuerPanic ErrorKind = "issuer_panic"
	// ErrCanceled: the caller's context was canceled while it waited.
	// errors.Is(err, context.Canceled) holds too.
	ErrCanceled ErrorKind = "canceled"
	// ErrMisconfigured: the request could not be made as the program is
	// written or configured. Nothing was sent.
	ErrMisconfigured ErrorKind = "misconfigured"
)

// explanations are the texts that [ErrorKind.Error] returns. They say what is wrong
// and what to do, and hold nothing that came from outside.
var explanations = map[ErrorKind]string{
	ErrCredentialsRejected: "the token endpoint rejected the credentials, check the server key and secret",
	ErrAccountRejected:     "the token endpoint rejected the account, or the credentials",
	ErrAccountMismatch:     "the token endpoint answered with a token for another account, which was discarded",
	ErrRateLimited:         "the token endpoint limits the rate of requests",
	ErrUnavailable:         "the token endpoint is unavailable",
	ErrTimeout:             "there was no token within the time limit",
	ErrMalformedResponse:   "the token endpoint answered with something that is not a usable token",
	ErrOverloaded:          "too many token requests are waiting",
	ErrRenewalLimited:      "tokens of this account are refused too often, so renewals are limited",
	ErrIssuerPanic:         "the issuer or a hook panicked",
	ErrCanceled:            "the caller left before there was a token",
	ErrMisconfigured:       "no token request was made because the configuration is wrong",
}

// Error returns what the kind means, in a sentence.
func (k ErrorKind) Error() string {
	if text, ok := explanations[k]; ok {
		return "pismoauth: " + text
	}
	return "pismoauth: " + string(k)
}

// isPermanent reports whether only a person can mend the cause.
func (k ErrorKind) isPermanent() bool {
	switch k {
	case ErrCredentialsRejected, ErrAccountRejected, ErrAccountMismatch, ErrIssuerPanic, ErrMisconfigured:
		return true
	}
	return false
}
