// SPDX-License-Identifier: Apache-2.0

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
// platform with a token. It renews the token when the platform refuses it. It
// retries a request only if the request was provably not executed, or if it
// does no harm to execute the request twice. Make a Transport with [New]. It is
// safe for concurrent use. Share one Transport among all requests.
type Transport struct {
	source        *tokensource.Source
	account       tokensource.Account // zero: the context must name it
	hosts         hosts
	base          http.RoundTripper
	maxAttempts   int
	retryMethods  []string
	maxReplayBody int64
	classify      func(*Refusal) Verdict
	hooks         Hooks
	learned       *learnedState
}

// A learnedState is the information that a Transport gathers from responses.
type learnedState struct {
	http1          atomic.Bool // the last response came over HTTP/1; see getBody
	unreadRefusals unreadRefusals
}

// RoundTrip sends req with a token for the account that the context or the
// configuration names, and returns the response of the platform.
//
// It keeps the contract of [http.RoundTripper]: it does not change req, always
// closes the body of req, and returns every response, whatever its status. The
// Request of the response is req itself, which has no token. For a 401 it is a
// copy of req, which [VerdictOf] needs. RoundTrip returns errors of the base
// unchanged, with one exception: if it kept net/http from sending the request
// again, the error wraps io.ErrUnexpectedEOF. A request that this package
// refuses to send fails with an [UnsentError]. A request for which there is no
// token fails with a [*tokensource.Error].
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
		return x.moved().retry(resp, err, wait)
	}
	return resp, err
}

// sendBare sends a request without a token, to the target of a redirect. The
// client copies the fields with a token into a redirected request, so sendBare
// removes them.
func (t *Transport) sendBare(req *http.Request) (*http.Response, error) {
	out := new(http.Request)
	*out = *req
	out.Header = withoutTokens(req.Header)
	resp, err := t.send(out)
	if err != nil {
		return nil, err
	}
	resp.Request = req // wasRedirectedBack follows this field to the first request.
	return resp, nil
}

var errNoResponse = errors.New("pismoauth: Config.Base returned neither a response nor an error; see the contract of http.RoundTripper")

// send passes a request to the base, and checks the contract of the base: it
// must return a response or an error, and a response must have a body.
func (t *Transport) send(out *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(out)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close() // The caller gets the base's error.
		}
		return nil, err
	case resp == nil:
		return nil, errNoResponse
	case resp.Body == nil:
		resp.Body = http.NoBody // http.Client does the same.
	}
	return resp, nil
}

// accountFor returns the account of the context, or else the configured
// account. It is an error if both are set and differ.
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

// Source returns the Source of the tokens.
func (t *Transport) Source() *tokensource.Source { return t.source }

// CloseIdleConnections closes the idle connections of the base, if the base has
// that method.
func (t *Transport) CloseIdleConnections() { base.CloseIdle(t.base) }

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // The body was never sent, so its error does not matter.
	}
}
