package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Delays between attempts.
const (
	retryBase     = 100 * time.Millisecond
	retryLimit    = 2 * time.Second
	maxRetryAfter = 10 * time.Second // A server that asks for more gets no retry.
)

type allowRetryKey struct{}

// AllowRetry returns a copy of ctx with which a request of any method is
// retried as if it were a GET. It is for requests that do no harm when they are
// executed twice: a search by POST, or a payment with an idempotency key that
// the platform is known to honour.
func AllowRetry(ctx context.Context) context.Context {
	return context.WithValue(ctx, allowRetryKey{}, true)
}

// worthRetrying reports whether the outcome of the first attempt may be retried
// at all. It is asked for each request, and so has to be quick to say no.
func (x *exchange) worthRetrying(resp *http.Response, err error) bool {
	if err == nil && !temporary(resp.StatusCode) {
		return false
	}
	_, again := x.again(1, resp, err)
	return again
}

// retry makes the other attempts. It is go-retryablehttp that drives them; it
// is given no request but a stand-in, whose first response is the one we have,
// so that the common request never pays for it. Its own ideas of what to retry,
// how long to wait and what to do with bodies, headers, redirects, errors and
// idle connections do not apply.
func (x exchange) retry(resp *http.Response, err error) (*http.Response, error) {
	defer func() { x.body.discard() }()
	attempts, wait := 0, time.Duration(0)
	attempt := func(standIn *http.Request) (*http.Response, error) {
		if attempts++; attempts > 1 {
			resp, err = x.attempt()
		}
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: resp.StatusCode, Body: resp.Body, Request: standIn}, nil
	}
	client := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: roundTripper(attempt)},
		RetryMax:   x.transport.attempts - 1,
		CheckRetry: func(context.Context, *http.Response, error) (again bool, _ error) {
			wait, again = x.again(attempts, resp, err)
			if again && x.transport.hooks.Retry != nil {
				x.transport.hooks.Retry(x.req.Context(), retryInfo(attempts+1, wait, resp, err))
			}
			return again, nil
		},
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return wait },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	standIn := (&http.Request{Method: http.MethodGet, URL: x.req.URL, Header: http.Header{}}).WithContext(x.req.Context())
	last, doErr := client.Do(&retryablehttp.Request{Request: standIn})
	if last == nil && err == nil {
		return nil, doErr // The caller left during a wait, and the response is gone.
	}
	return resp, err
}

// roundTripper has no method CloseIdleConnections: a failing host must not
// cost others their connections.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// again reports whether an attempt is to be followed by another, and how long
// to wait before. The request may be sent again only if it can be executed
// twice, or was not executed at all.
func (x *exchange) again(attempt int, resp *http.Response, err error) (time.Duration, bool) {
	ctx := x.req.Context()
	if attempt >= x.transport.attempts || ctx.Err() != nil || !x.body.replayable() {
		return 0, false
	}
	wait := backoff.FullJitter(backoff.Exponential(attempt-1, retryBase, retryLimit))
	if err != nil {
		if ours(err) || !x.unsent(err) && (!x.repeatable() || permanent(err)) {
			return 0, false
		}
	} else {
		if !temporary(resp.StatusCode) || !x.repeatable() {
			return 0, false
		}
		if asked, ok := backoff.RetryAfter(resp.Header, time.Now()); ok {
			wait = max(wait, asked)
		}
		if wait > maxRetryAfter {
			return 0, false
		}
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, false // The caller would get a timeout instead of an answer.
	}
	return wait, x.body.rewind() // Now, while the answer there is has not been drained.
}

// repeatable reports whether the request may be executed twice.
func (x *exchange) repeatable() bool {
	allowed, _ := x.req.Context().Value(allowRetryKey{}).(bool)
	method := x.req.Method
	if method == "" {
		method = http.MethodGet
	}
	return allowed || x.transport.retryMethods[method]
}

// temporary reports whether a status says that trying again makes sense.
func temporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// ours reports whether it was this package, or the Source, that failed: there
// is no sense in asking again what has been thought through.
func ours(err error) bool {
	var token *tokensource.Error
	var unsent Unsent
	return errors.As(err, &token) || errors.As(err, &unsent)
}

// unsent reports whether nothing of the request can have reached a server: no
// connection was made. An error of a body that is fetched from elsewhere looks
// the same, with half of it delivered.
func (x *exchange) unsent(err error) bool { return undialed(err) && !mayFail(x.req) }

// undialed reports whether an error is that of making a connection. It does not
// look into errors that were joined: a base that tried in several places may
// have reached one of them.
func undialed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if op, ok := err.(*net.OpError); ok { //nolint:errorlint // link by link, see above
			return op.Op == "dial" || op.Op == "proxyconnect"
		}
	}
	return false
}

// permanent reports whether an error will not go away by itself.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

func retryInfo(attempt int, wait time.Duration, resp *http.Response, err error) RetryInfo {
	info := RetryInfo{Attempt: attempt, Wait: wait, Err: err}
	if err == nil {
		info.StatusCode = resp.StatusCode
	}
	return info
}
