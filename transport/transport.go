package transport

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/tokensource"
)

// A Transport is an [http.RoundTripper] that sends requests to the Pismo
// platform with a token, renews the token when the platform refuses it, and
// retries what can be retried without doing anything twice. Make one with
// [New]. It is safe for concurrent use, and meant to be shared.
type Transport struct {
	source        *tokensource.Source
	account       tokensource.Account // zero: the context has to tell
	hosts         hosts
	base          http.RoundTripper
	maxAttempts   int
	retryMethods  []string
	maxReplayBody int64
	classify      func(*Refusal) Verdict
	hooks         Hooks
	learned       *learnedState
}

// A learnedState is what a Transport learns from responses.
type learnedState struct {
	http1          atomic.Bool // The last one came over HTTP/1.
	unreadRefusals unreadRefusals
}

// RoundTrip sends req, with a token for the account that its context or the
// configuration names, and returns the response of the platform.
//
// It keeps the contract of [http.RoundTripper]: it does not change req, always
// closes its body, and returns a response for every answer there is, whatever
// its status. The Request of the response is req, without the token; that of a
// 401 is a copy of req, which [VerdictOf] needs. Errors of the base are returned
// as they are. A request that this package refuses to send fails with an
// [UnsentError], and one for which there is no token with a [*tokensource.Error].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	authorize, err := t.needsToken(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if !authorize {
		return t.sendBare(req)
	}
	x := &exchange{transport: t, req: req}
	if err := x.prepare(); err != nil {
		closeBody(req)
		return nil, err
	}
	defer x.body.finish()
	resp, err := x.attempt()
	if wait, again := x.nextAttempt(1, resp, err); again {
		return x.retry(resp, err, wait)
	}
	return resp, err
}

// sendBare sends a request without a token, to where a server has redirected a
// client. Whatever carries one is left out: the client takes it along.
func (t *Transport) sendBare(req *http.Request) (*http.Response, error) {
	out := new(http.Request)
	*out = *req
	out.Header = withoutTokens(req.Header)
	resp, err := t.send(out)
	if err != nil {
		return nil, err
	}
	resp.Request = req // By which wasRedirectedBack sees where a redirect comes from.
	return resp, nil
}

var errNoResponse = errors.New("pismoauth: Config.Base returned neither a response nor an error; see the contract of http.RoundTripper")

// send hands a request to the base, and sees that the base keeps its contract:
// a response or an error, and a body in the response.
func (t *Transport) send(out *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(out)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close() // The error counts.
		}
		return nil, err
	case resp == nil:
		return nil, errNoResponse
	case resp.Body == nil:
		resp.Body = http.NoBody // As http.Client does for fakes that leave it out.
	}
	return resp, nil
}

// accountFor returns the account of the context, or the configured one; they
// must not contradict each other.
func (t *Transport) accountFor(ctx context.Context) (tokensource.Account, error) {
	account, ok := tokensource.AccountFromContext(ctx)
	switch configured, fixed := t.Account(); {
	case !ok && !fixed:
		return account, ErrNoAccount
	case !ok:
		return configured, nil
	case fixed && configured != account:
		return account, ErrAccountConflict
	default:
		return account, nil
	}
}

// Account returns Config.Account, and whether it is set.
func (t *Transport) Account() (tokensource.Account, bool) {
	return t.account, t.account != tokensource.Account{}
}

// Source returns the Source that the tokens come from.
func (t *Transport) Source() *tokensource.Source { return t.source }

// CloseIdleConnections closes the idle connections of the base, if it can.
func (t *Transport) CloseIdleConnections() { base.CloseIdle(t.base) }

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // It was never sent, so its error concerns nobody.
	}
}
