// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net/http"

	"github.com/pismoauth/pismoauth/internal/trailer"
	"github.com/pismoauth/pismoauth/tokensource"
)

// An exchange is one request of the caller, with all its attempts.
type exchange struct {
	transport  *Transport
	req        *http.Request // the caller's
	account    tokensource.Account
	repeatable bool        // The request may be executed twice.
	retryGroup *RetryGroup // the group of the request, or nil
	header     http.Header
	body       body
	connection *connection // the trace of the last send, or nil
	sent       int         // the number of sends
	replayed   bool        // The request was sent again after a 401.
	admitted   bool        // The caller's Authorization has passed the check.

	// token is the token of the previous attempt, or nil. If the context carries
	// it, the Source counts the next call of Token as a repetition, so that hooks
	// count the request once.
	token *tokensource.Token
}

// prepare determines the account, the outgoing header and the body of the
// request.
func (x *exchange) prepare() error {
	x.retryGroup = retryGroupFrom(x.req.Context())
	x.retryGroup.begin()
	var err error
	if x.req.Body == nil && x.req.ContentLength != 0 || x.req.Body == http.NoBody && x.req.ContentLength > 0 {
		return ErrBodyMissing
	}
	if x.account, err = x.transport.accountFor(x.req.Context()); err != nil {
		return err
	}
	if x.header, err = x.newHeader(); err != nil {
		return err
	}
	x.admitted = true
	x.token = x.retryGroup.lastToken()
	x.repeatable = x.isRepeatable()
	x.body = newBody(x.req, x.transport.maxReplayBody)
	return nil
}

// attempt sends the request with a current token. If the platform refuses the
// token, attempt sends the request once more with another token, at most once
// per request.
func (x *exchange) attempt() (*http.Response, error) {
	ctx := x.req.Context()
	if x.token != nil {
		ctx = tokensource.ContextWithForwardedToken(ctx, x.token)
	}
	token, err := x.transport.source.Token(ctx, x.account)
	if err != nil {
		return nil, err
	}
	x.token = token
	x.retryGroup.storeToken(token)
	out, err := x.outgoing(token)
	if err != nil {
		return nil, err
	}
	resp, err := x.send(out)
	if !isUnauthorized(resp) {
		reportAccepted(resp, token)
		return resp, err
	}
	refusal := x.judgeRefusal(resp, token)
	renewed := x.actOnVerdict(refusal, token)
	if renewed == nil {
		return x.attachVerdict(resp, refusal.Verdict), nil
	}
	if out, err = x.outgoing(renewed); err != nil {
		return x.attachVerdict(resp, refusal.Verdict), nil //nolint:nilerr // The caller changed the request meanwhile. A body that streams once does not get here.
	}
	x.replayed = true
	x.retryGroup.markReplayed()
	_ = resp.Body.Close() // The replay's response replaces this response.
	resp, err = x.send(out)
	return x.finish(resp, err, renewed)
}

// finish returns the response to a replay. A second 401 gets a verdict, and
// goes to the caller.
func (x *exchange) finish(resp *http.Response, err error, token *tokensource.Token) (*http.Response, error) {
	if !isUnauthorized(resp) {
		reportAccepted(resp, token)
		return resp, err
	}
	refusal := x.judgeRefusal(resp, token)
	x.actOnVerdict(refusal, token)
	return x.attachVerdict(resp, refusal.Verdict), nil
}

// outgoing returns a copy of the request for the base, with the token in a
// header of its own.
func (x *exchange) outgoing(token *tokensource.Token) (*http.Request, error) {
	header, err := x.nextHeader()
	if err != nil {
		return nil, err
	}
	content, err := x.body.next()
	if err != nil {
		return nil, err
	}
	token.SetAuthHeader(header)
	out := x.copyRequest()
	out.Header = header
	out.Body = content
	out.GetBody = x.getBody()
	if x.body.recording != nil {
		out.Trailer = nil // The Trailer is empty, and the reader of the body may write to it.
	}
	if out.URL.Scheme == "http" && !x.transport.isHostHeaderListed(out) {
		out.Host = "" // A reverse proxy may have copied its client's Host.
	}
	return trailer.Keep(out), nil
}

// copyRequest returns a copy of the request with the context for the next send.
// An ordinary request needs neither a new context nor an allocation.
func (x *exchange) copyRequest() *http.Request {
	ctx, traced := withoutToken(x.req.Context())
	if x.repeatable && !traced && x.sent == 0 {
		out := new(http.Request)
		*out = *x.req
		return out
	}
	if !x.repeatable {
		ctx = x.traceConnection(ctx)
	}
	if x.sent > 0 {
		ctx = contextWithResendCount(ctx, x.sent)
	}
	return x.req.WithContext(ctx)
}

// send passes a request to the base.
func (x *exchange) send(out *http.Request) (*http.Response, error) {
	x.sent++
	resp, err := x.transport.send(out)
	if err != nil {
		if x.connection.preventedResend() && x.req.Context().Err() == nil {
			return nil, errMayBeExecuted
		}
		return nil, err
	}
	resp.Request = x.req // out has the token, which must not reach the caller.
	x.transport.learnProtocol(resp)
	return resp, nil
}

// nextHeader returns the header for the next send, without a token.
func (x *exchange) nextHeader() (http.Header, error) {
	if header := x.header; header != nil {
		x.header = nil
		return header, nil
	}
	return x.newHeader()
}

func isUnauthorized(resp *http.Response) bool {
	return resp != nil && resp.StatusCode == http.StatusUnauthorized
}

// reportAccepted records that the platform accepted the token. A response with
// an error status says nothing about the token.
func reportAccepted(resp *http.Response, token *tokensource.Token) {
	if resp != nil && resp.StatusCode < http.StatusBadRequest {
		token.ReportAccepted()
	}
}
