package transport

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// Delays between attempts.
const (
	retryBase     = 100 * time.Millisecond
	retryLimit    = 2 * time.Second
	maxRetryAfter = 10 * time.Second // A server that asks for more gets no retry.

	// An answer that is retried may take this long to be read, even if the
	// wait is shorter: then its connection is used again.
	drainTimeout = 50 * time.Millisecond
)

type allowRetryKey struct{}

// AllowRetry returns a copy of ctx with which a request of any method is
// retried as if it were a GET. It is for requests that do no harm when they are
// executed twice: a search by POST, or a payment with an idempotency key that
// the platform is known to honour.
func AllowRetry(ctx context.Context) context.Context {
	return context.WithValue(ctx, allowRetryKey{}, true)
}

// isRepeatable reports whether the request may be executed twice.
func (x *exchange) isRepeatable() bool {
	if method := x.req.Method; method == "" || slices.Contains(x.transport.retryMethods, method) {
		return true
	}
	allowed, _ := x.req.Context().Value(allowRetryKey{}).(bool)
	return allowed
}

// nextAttempt decides whether another attempt follows on the one with the given number
// and outcome, and after which wait. It changes nothing.
func (x *exchange) nextAttempt(attempt int, resp *http.Response, err error) (wait time.Duration, again bool) {
	if !x.mayRepeat(resp, err) || attempt >= x.transport.maxAttempts || !x.body.replayable() {
		return 0, false
	}
	ctx := x.req.Context()
	wait = backoff.FullJitter(backoff.Exponential(attempt-1, retryBase, retryLimit))
	if resp != nil {
		if asked, ok := backoff.RetryAfter(resp.Header, time.Now()); ok {
			wait = max(wait, asked)
		}
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, false // The caller would get a timeout instead of an answer.
	}
	return wait, wait <= maxRetryAfter && ctx.Err() == nil
}

// mayRepeat reports whether the request may be sent again after an outcome, and
// whether that can help.
func (x *exchange) mayRepeat(resp *http.Response, err error) bool {
	switch {
	case err == nil:
		return isTemporary(resp.StatusCode) && x.repeatable
	case isFinal(err):
		return false
	default:
		return x.repeatable && isConnectionError(err) || x.isUnsent(err)
	}
}

// retry makes the other attempts, of which the next one follows after wait. It
// is go-retryablehttp that drives them; it is given no request but a stand-in,
// whose first response is the one we have, so that the common request never pays
// for it. Its own ideas of what to retry, how long to wait and what to do with
// bodies, headers, redirects, errors and idle connections do not apply.
func (x *exchange) retry(resp *http.Response, err error, wait time.Duration) (*http.Response, error) {
	attempts, again := 0, true
	attempt := func(standIn *http.Request) (*http.Response, error) {
		if attempts++; attempts > 1 {
			resp, err = x.attempt()
			wait, again = x.nextAttempt(attempts, resp, err)
		}
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: resp.StatusCode, Body: http.NoBody, Request: standIn}, nil
	}
	client := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: roundTripper(attempt)},
		RetryMax:   x.transport.maxAttempts - 1,
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) {
			return again && x.body.rewind(), nil // While there is an answer to return.
		},
		Backoff: func(_, _ time.Duration, _ int, _ *http.Response) time.Duration {
			return x.discardOutcome(attempts+1, resp, err, wait)
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	standIn := (&http.Request{Method: http.MethodGet, URL: x.req.URL, Header: http.Header{}}).WithContext(x.req.Context())
	last, doErr := client.Do(&retryablehttp.Request{Request: standIn})
	if last == nil && err == nil {
		return nil, doErr // The caller left during a wait, and the response is gone.
	}
	return resp, err
}

// discardOutcome leaves an outcome behind, for another attempt. It returns what is left of
// the wait.
func (x *exchange) discardOutcome(attempt int, resp *http.Response, err error, wait time.Duration) time.Duration {
	began := time.Now()
	info := RetryInfo{Attempt: attempt, Wait: wait, Err: err}
	if resp != nil {
		info.StatusCode = resp.StatusCode
	}
	x.transport.hooks.retry(x.req.Context(), info)
	if resp != nil {
		drain(x.req.Context(), resp.Body, min(max(wait, drainTimeout), refusalReadTimeout))
	}
	return max(wait-time.Since(began), 0)
}

// roundTripper has no method CloseIdleConnections: a failing host must not
// cost others their connections.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// isTemporary reports whether a status says that trying again makes sense.
func isTemporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
