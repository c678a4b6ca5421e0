// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// Limits of the delays between attempts.
const (
	retryBase     = 100 * time.Millisecond
	retryLimit    = 2 * time.Second
	maxRetryAfter = 10 * time.Second // A longer Retry-After prevents a retry.

	// The time to read a response before a retry, even if the wait is
	// shorter. A response that is read to its end leaves its connection
	// usable.
	drainTimeout = 50 * time.Millisecond
)

type allowRetryKey struct{}

// AllowRetry returns a copy of ctx with which a request of any method is
// retried like a GET. Use it for a request that may be executed twice without
// harm: a search by POST, or a payment with an idempotency key that the
// platform is known to honour.
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

// nextAttempt reports whether another attempt follows the attempt with the
// given number and outcome, and after which wait. It changes nothing.
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
		return 0, false // The caller would get a timeout instead of the response.
	}
	return wait, wait <= maxRetryAfter && ctx.Err() == nil
}

// mayRepeat reports whether the request may be sent again after an outcome, and
// whether another attempt can help.
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

// retry makes the further attempts. The first of them follows after wait.
//
// go-retryablehttp drives the attempts. It gets a stand-in request, whose first
// response is the response that already arrived. So an ordinary request does
// not pay for the library. Its own rules for retries, waits, bodies, headers,
// redirects, errors and idle connections do not apply.
func (x *exchange) retry(resp *http.Response, err error, wait time.Duration) (*http.Response, error) {
	defer x.body.finish()
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
			return again && x.body.rewind(), nil // While the response is still there.
		},
		Backoff: func(_, _ time.Duration, _ int, _ *http.Response) time.Duration {
			return x.discardOutcome(attempts+1, resp, err, wait)
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	standIn := (&http.Request{Method: http.MethodGet, URL: x.req.URL, Header: http.Header{}}).WithContext(x.req.Context())
	last, doErr := client.Do(&retryablehttp.Request{Request: standIn})
	if last == nil && err == nil {
		return nil, doErr // The caller left during a wait, after the response was discarded.
	}
	return resp, err
}

// moved returns a copy of x that takes over the body. The functions of retry
// keep the copy on the heap. So the exchange of an ordinary request needs no
// allocation.
func (x *exchange) moved() *exchange {
	kept := new(exchange)
	*kept = *x
	x.body = body{}
	return kept
}

// discardOutcome discards an outcome before another attempt. It returns the
// rest of the wait.
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
// close the idle connections of other hosts.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// isTemporary reports whether a status allows a retry.
func isTemporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
