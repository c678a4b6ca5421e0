package transport

import (
	"context"
	"net/http"
	"slices"

	"github.com/pismoauth/pismoauth/internal/trailer"
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
	attempts      int
	retryMethods  map[string]bool
	maxReplayBody int64
	triage        func(*Refusal) Verdict
	hooks         Hooks
}

// RoundTrip sends req, with a token for the account that its context or the
// configuration names, and returns the response of the platform.
//
// It keeps the contract of [http.RoundTripper]: it does not change req, always
// closes its body, and returns a response for every answer there is, whatever
// its status. The Request of the response is req, without the token. Errors of
// the base are returned as they are; a request that was not sent for a reason
// of ours fails with an [Unsent], and one for which no token could be had with
// a [*tokensource.Error].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	authorize, err := t.destination(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if !authorize {
		return t.sendBare(req)
	}
	x := exchange{transport: t, req: req}
	if err := x.prepare(); err != nil {
		closeBody(req)
		return nil, err
	}
	if x.body, err = newBody(req, t.maxReplayBody); err != nil {
		return nil, err
	}
	resp, err := x.attempt()
	if x.worthRetrying(resp, err) {
		return x.retry(resp, err)
	}
	return resp, err
}

// sendBare sends a request without a token. One that middleware of ours put into
// its header is left out: a client that follows a redirect takes it along to
// other ports and subdomains.
func (t *Transport) sendBare(req *http.Request) (*http.Response, error) {
	token, ok := tokensource.TokenFromContext(req.Context())
	if !ok || !token.IsIn(req.Header) {
		return t.base.RoundTrip(req)
	}
	out := new(http.Request)
	*out = *req
	out.Header = req.Header.Clone()
	out.Header.Del("Authorization")
	resp, err := t.base.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// Source returns the Source that the tokens come from.
func (t *Transport) Source() *tokensource.Source { return t.source }

// CloseIdleConnections closes the idle connections of the base, if it can.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// An exchange is one request of the caller's, however often it is sent.
type exchange struct {
	transport *Transport
	req       *http.Request // the caller's
	account   tokensource.Account
	header    http.Header // for the first sending, then nil
	body      body
	sent      int       // how often it went out
	replayed  bool      // after a 401; once at the most
	attempts  *Attempts // of which this is one; or nil

	// token is that of the attempt before, or nil. With it in the context, the
	// Source knows that the request has asked before, and hooks count it once.
	token *tokensource.Token
}

// prepare finds out for whom the request is, and makes a header for it.
func (x *exchange) prepare() error {
	account, err := x.transport.accountFor(x.req.Context())
	if err != nil {
		return err
	}
	x.account = account
	x.attempts = attemptsFrom(x.req.Context())
	x.token = x.attempts.lastToken()
	x.header, err = headerToAuthorize(x.req)
	return err
}

// accountFor returns the account of the context, or the configured one; they
// must not contradict each other.
func (t *Transport) accountFor(ctx context.Context) (tokensource.Account, error) {
	account, ok := tokensource.AccountFromContext(ctx)
	switch configured := t.account != (tokensource.Account{}); {
	case !ok && !configured:
		return account, ErrNoAccount
	case !ok:
		return t.account, nil
	case configured && t.account != account:
		return account, ErrAccountConflict
	default:
		return account, nil
	}
}

// attempt sends the request with the token of this moment, and deals with a
// 401.
func (x *exchange) attempt() (*http.Response, error) {
	ctx := x.req.Context()
	if x.token != nil {
		ctx = tokensource.ContextWithToken(ctx, x.token)
	}
	token, err := x.transport.source.Token(ctx, x.account)
	if err != nil {
		x.body.discard()
		return nil, err
	}
	x.token = token
	x.attempts.keep(token)
	out, err := x.outgoing(token)
	if err != nil {
		return nil, err
	}
	resp, err := x.send(out)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return x.unauthorized(resp, token)
}

// outgoing returns a copy of the request for the base, with the token in a
// header of its own. GetBody is the caller's, and not ours: with it, net/http
// would send a payment that has an idempotency key again by itself.
func (x *exchange) outgoing(token *tokensource.Token) (*http.Request, error) {
	header, err := x.nextHeader()
	if err != nil {
		x.body.discard()
		return nil, err
	}
	content, err := x.body.next()
	if err != nil {
		return nil, err
	}
	token.SetAuthHeader(header)
	out := new(http.Request)
	*out = *x.req
	out.Header = header
	out.Body = content
	if x.sent > 0 {
		out = out.WithContext(contextWithResendCount(out.Context(), x.sent))
	}
	return trailer.Keep(out), nil
}

// send hands a request to the base.
func (x *exchange) send(out *http.Request) (*http.Response, error) {
	x.sent++
	resp, err := x.transport.base.RoundTrip(out)
	if resp != nil {
		resp.Request = x.req // Not out: the token must not reach the caller's logging.
		if resp.Body == nil {
			resp.Body = http.NoBody // As http.Client does for doubles that leave it out.
		}
	}
	return resp, err
}

// nextHeader returns the header for the next sending, without a token yet.
func (x *exchange) nextHeader() (http.Header, error) {
	if header := x.header; header != nil {
		x.header = nil
		return header, nil
	}
	return headerToAuthorize(x.req)
}

// headerToAuthorize returns a copy of the request's header with room for a
// token. The values are shared, and clipped, so that appending to them does not
// write there. An Authorization of the caller's own is an error; one that
// middleware of ours put there is left out.
func headerToAuthorize(req *http.Request) (http.Header, error) {
	header := make(http.Header, len(req.Header)+1)
	for name, values := range req.Header {
		if len(name) == len("Authorization") && http.CanonicalHeaderKey(name) == "Authorization" {
			if token, ok := tokensource.TokenFromContext(req.Context()); ok && token.IsIn(req.Header) {
				continue
			}
			return nil, ErrAuthorizationPresent
		}
		header[name] = slices.Clip(values)
	}
	return header, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // It was never sent: nobody is interested.
	}
}
