package middleware

import (
	"context"
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

// A Problem is the answer to a request that failed (RFC 9457). It is made of
// constants: what went wrong in detail is for the operator, and not for
// whoever sent the request.
type Problem struct {
	// Type is a URI that names the kind of problem, and does not change.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	// RetryAfter is how long it makes sense to wait; 0 if that is not known.
	RetryAfter time.Duration `json:"-"`
}

// problems are the answers there are, by what they are the answer to.
var problems = map[error]Problem{
	ErrUnauthenticated:     problem("unauthenticated", http.StatusUnauthorized, "The request does not carry valid credentials."),
	ErrForbidden:           problem("account-forbidden", http.StatusForbidden, "The request is for no account that it may act for."),
	ErrVerifierUnavailable: problem("verifier-unavailable", http.StatusServiceUnavailable, "The sender of the request cannot be verified at the moment."),
	ErrInvalidTarget:       problem("invalid-target", http.StatusBadRequest, "The target of the request is not a path that is passed on."),
	ErrMethodNotProxied:    problem("method-not-proxied", http.StatusNotImplemented, "Requests with this method are not passed on."),
	ErrTooEarly:            problem("too-early", http.StatusTooEarly, "The request came in TLS early data, where it can be replayed."),
	bodyTooLarge:           problem("body-too-large", http.StatusRequestEntityTooLarge, "The body of the request is too large."),
	bodyTimeout:            problem("body-timeout", http.StatusRequestTimeout, "The body of the request did not arrive in time."),
	bodyUnreadable:         problem("body-unreadable", http.StatusBadRequest, "The body of the request could not be read to its end."),
	upstreamTimeout:        problem("upstream-timeout", http.StatusGatewayTimeout, "The platform did not answer in time."),
	upstreamUnreachable:    problem("upstream-unreachable", http.StatusBadGateway, "The platform could not be reached."),
	upstreamInvalid:        problem("upstream-invalid", http.StatusBadGateway, "The platform gave an answer that cannot be passed on."),
	upgradeUnsupported:     problem("upgrade-unsupported", http.StatusNotImplemented, "This server cannot switch protocols for this request."),
	ErrTokenRefused:        problem("token-refused", http.StatusBadGateway, "The platform refused this server's token."),

	tokensource.ErrCredentialsRejected: problem("credentials-rejected", http.StatusBadGateway, "The platform rejected this server's credentials."),
	tokensource.ErrAccountRejected:     problem("account-rejected", http.StatusBadGateway, "The platform gave no token for the account."),
	tokensource.ErrAccountMismatch:     problem("account-mismatch", http.StatusBadGateway, "The platform gave a token for another account, which was discarded."),
	tokensource.ErrMalformedResponse:   problem("malformed-response", http.StatusBadGateway, "The platform's token endpoint gave an answer that is no token."),
	tokensource.ErrUnavailable:         problem("unavailable", http.StatusBadGateway, "The platform's token endpoint is unavailable."),
	tokensource.ErrTimeout:             problem("timeout", http.StatusGatewayTimeout, "The platform's token endpoint did not answer in time."),
	timedOutBefore:                     problem("timed-out-before", http.StatusServiceUnavailable, "The platform's token endpoint did not answer in time, a moment ago."),
	tokensource.ErrRateLimited:         problem("rate-limited", http.StatusServiceUnavailable, "The platform limits the rate of token requests."),
	tokensource.ErrOverloaded:          problem("overloaded", http.StatusServiceUnavailable, "Too many token requests are waiting."),
	tokensource.ErrRenewalLimited:      problem("renewal-limited", http.StatusServiceUnavailable, "Tokens of the account are refused too often."),
	tokensource.ErrCanceled:            problem("canceled", http.StatusServiceUnavailable, "The request was given up before there was a token for it."),
	tokensource.ErrIssuerPanic:         problem("internal", http.StatusInternalServerError, "This server failed."),
	tokensource.ErrMisconfigured:       problem("misconfigured", http.StatusInternalServerError, "This server is not configured correctly."),
}

func problem(name string, status int, detail string) Problem {
	return Problem{Type: typePrefix + name, Title: http.StatusText(status), Status: status, Detail: detail}
}

// Problems returns every Problem there is, by type: for documentation, and for
// clients that are generated.
func Problems() []Problem {
	return slices.SortedFunc(maps.Values(problems), func(a, b Problem) int { return strings.Compare(a.Type, b.Type) })
}

// minRetryAfter is what a 503 asks for that knows nothing better.
const minRetryAfter = time.Second

// ProblemOf returns the answer to an error that a [Middleware] or a proxy came
// to.
func ProblemOf(err error) Problem {
	p, ok := problems[classify(err)]
	if !ok {
		p = problems[tokensource.ErrMisconfigured] // A kind that an Issuer made up.
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

// classify returns what decides how err is answered.
func classify(err error) error {
	var denial AuthError
	var token *tokensource.Error
	var body *bodyError
	var known condition
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return ErrUnauthenticated
	case errors.As(err, &denial):
		if _, known := problems[denial]; !known {
			return ErrForbidden
		}
		return denial
	case errors.As(err, &token):
		return classifyTokenError(token)
	case errors.As(err, &body):
		return body.condition()
	case errors.Is(err, ErrTokenRefused):
		return ErrTokenRefused
	case errors.Is(err, tokensource.ErrMisconfigured): // As every transport.UnsentError is.
		return tokensource.ErrMisconfigured
	case errors.As(err, &known):
		return known
	case isTimeout(err):
		return upstreamTimeout
	default:
		return upstreamUnreachable
	}
}

// classifyTokenError is essence where no token could be had. Whether it was tried
// makes a difference for a timeout only: most other causes are not mended by
// trying again, and the rest are 503 anyhow.
func classifyTokenError(err *tokensource.Error) error {
	if err.Kind == tokensource.ErrTimeout && err.Suppressed {
		return timedOutBefore
	}
	return err.Kind
}

// isTimeout reports whether err is a timeout, of a context or of the network.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// AnswerProblem answers a request with the [Problem] of an error. It is the
// default [ErrorHandler].
func AnswerProblem(w http.ResponseWriter, r *http.Request, err error) {
	ProblemOf(err).Answer(w, r)
}

// Answer writes p to w. A request with the method HEAD gets no body.
func (p Problem) Answer(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // Not reached: p is strings and a number.
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(p.RetryAfter.Seconds())), 10))
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // The client may have gone; there is nobody to tell.
	}
}
