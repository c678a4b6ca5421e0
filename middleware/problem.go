// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// typePrefix is where the types of problems are documented.
const typePrefix = "https://github.com/pismoauth/pismoauth/blob/main/docs/errors.md#"

// A Problem is the answer to a request that failed (RFC 9457). Apart from
// RetryAfter it consists of constants: the details of a failure are for the
// operator, and not for the client.
type Problem struct {
	// Type is a URI that names the kind of problem, and does not change.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	// RetryAfter is the time to wait before another attempt; 0 if unknown.
	RetryAfter time.Duration `json:"-"`
}

// problems holds the Problem of each error and condition.
var problems = map[error]Problem{
	ErrUnauthenticated: problem("unauthenticated", http.StatusUnauthorized,
		"The request does not carry valid credentials."),
	ErrForbidden: problem("account-forbidden", http.StatusForbidden,
		"The request names no account, or one that its sender may not act for."),
	ErrVerifierUnavailable: problem("verifier-unavailable", http.StatusServiceUnavailable,
		"The sender of the request cannot be verified at the moment."),
	ErrInvalidTarget: problem("invalid-target", http.StatusBadRequest,
		"The target of the request is not a path, or has a dot segment."),
	ErrMethodNotProxied: problem("method-not-proxied", http.StatusNotImplemented,
		"Requests with this method are not passed on."),
	ErrTooEarly: problem("too-early", http.StatusTooEarly,
		"The request came in TLS early data, which can be replayed."),
	bodyTooLarge: problem("body-too-large", http.StatusRequestEntityTooLarge,
		"The body of the request is too large."),
	bodyTimeout: problem("body-timeout", http.StatusRequestTimeout,
		"The body of the request did not arrive in time."),
	bodyUnreadable: problem("body-unreadable", http.StatusBadRequest,
		"The body of the request could not be read to its end."),
	upstreamTimeout: problem("upstream-timeout", http.StatusGatewayTimeout,
		"The platform did not answer in time."),
	upstreamUnreachable: problem("upstream-unreachable", http.StatusBadGateway,
		"The platform could not be reached."),
	upstreamInvalid: problem("upstream-invalid", http.StatusBadGateway,
		"The platform gave an answer that cannot be passed on."),
	upgradeUnsupported: problem("upgrade-unsupported", http.StatusNotImplemented,
		"This server cannot switch protocols for this request."),
	ErrTokenRefused: problem("token-refused", http.StatusBadGateway,
		"The platform refused this server's token."),

	tokensource.ErrCredentialsRejected: problem("credentials-rejected", http.StatusBadGateway,
		"The platform rejected this server's credentials."),
	tokensource.ErrAccountRejected: problem("account-rejected", http.StatusBadGateway,
		"The platform issued no token for the account."),
	tokensource.ErrAccountMismatch: problem("account-mismatch", http.StatusBadGateway,
		"The platform issued a token for another account, which was discarded."),
	tokensource.ErrMalformedResponse: problem("malformed-response", http.StatusBadGateway,
		"The platform's token endpoint gave an answer without a valid token."),
	tokensource.ErrUnavailable: problem("unavailable", http.StatusBadGateway,
		"The platform's token endpoint is unavailable."),
	tokensource.ErrTimeout: problem("timeout", http.StatusGatewayTimeout,
		"The platform's token endpoint did not answer in time."),
	timedOutBefore: problem("timed-out-before", http.StatusServiceUnavailable,
		"A recent request to the platform's token endpoint timed out."),
	tokensource.ErrRateLimited: problem("rate-limited", http.StatusServiceUnavailable,
		"The platform limits the rate of token requests."),
	tokensource.ErrOverloaded: problem("overloaded", http.StatusServiceUnavailable,
		"Too many token requests are waiting."),
	tokensource.ErrRenewalLimited: problem("renewal-limited", http.StatusServiceUnavailable,
		"The platform refuses the account's tokens too often."),
	tokensource.ErrCanceled: problem("canceled", http.StatusServiceUnavailable,
		"The request was canceled before it had a token."),
	tokensource.ErrIssuerPanic: problem("internal", http.StatusInternalServerError,
		"This server failed."),
	tokensource.ErrMisconfigured: problem("misconfigured", http.StatusInternalServerError,
		"This server is not configured correctly."),
}

func problem(name string, status int, detail string) Problem {
	return Problem{Type: typePrefix + name, Title: http.StatusText(status), Status: status, Detail: detail}
}

// Problems returns every Problem, ordered by type. It is for documentation, and
// for generated clients.
func Problems() []Problem {
	return slices.SortedFunc(maps.Values(problems), func(a, b Problem) int { return strings.Compare(a.Type, b.Type) })
}

// minRetryAfter is the least Retry-After of a 503.
const minRetryAfter = time.Second

// ProblemOf returns the answer to an error of a [Middleware] or a proxy.
func ProblemOf(err error) Problem {
	p, ok := problems[classify(err)]
	if !ok {
		p = problems[tokensource.ErrMisconfigured] // The Issuer has a kind of its own.
	}
	var token *tokensource.Error
	if p.Status >= http.StatusInternalServerError && errors.As(err, &token) {
		p.RetryAfter = token.RetryAfter
	}
	if p.Status == http.StatusServiceUnavailable {
		p.RetryAfter = max(p.RetryAfter, minRetryAfter)
	}
	return p
}

// AnswerProblem answers a request with the [Problem] of an error. It is the
// default [ErrorHandler].
func AnswerProblem(w http.ResponseWriter, r *http.Request, err error) {
	ProblemOf(err).Answer(w, r)
}

// SetRetryAfter sets the field Retry-After to RetryAfter in whole seconds,
// rounded up. It sets nothing if RetryAfter is unknown. [Problem.Answer] calls
// it; other answers to the same failure can call it too.
func (p Problem) SetRetryAfter(h http.Header) {
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(p.RetryAfter.Seconds())), 10))
	}
}

// Answer writes p to w. A request with the method HEAD gets no body.
func (p Problem) Answer(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // Not reached: p consists of strings and a number.
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	p.SetRetryAfter(h)
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // An error means that the client has gone.
	}
}
