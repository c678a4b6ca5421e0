package transport

import (
	"net/http"

	"github.com/pismoauth/pismoauth/internal/trailer"
	"github.com/pismoauth/pismoauth/tokensource"
)

// An exchange is one request of the caller's, however often it is sent.
type exchange struct {
	transport  *Transport
	req        *http.Request // the caller's
	account    tokensource.Account
	repeatable bool        // It may be executed twice.
	retryGroup *RetryGroup // of which this is one; or nil
	header     http.Header
	body       body
	connection *connection // what the last sending shows of it; or nil
	sent       int         // how often it went out
	replayed   bool        // after a 401; once at the most

	// token is that of the attempt before, or nil. With it in the context, the
	// Source knows that the request has asked before, and hooks count it once.
	token *tokensource.Token

	first http.Request // what goes out first, in this allocation
}

// prepare finds out for which account the request is, and what goes out of its
// header and its body.
func (x *exchange) prepare() error {
	x.retryGroup = retryGroupFrom(x.req.Context())
	x.retryGroup.begin()
	var err error
	if x.req.Body == nil && x.req.ContentLength != 0 {
		return ErrBodyMissing
	}
	if x.account, err = x.transport.accountFor(x.req.Context()); err != nil {
		return err
	}
	if x.header, err = x.newHeader(); err != nil {
		return err
	}
	x.token = x.retryGroup.lastToken()
	x.repeatable = x.isRepeatable()
	x.body = newBody(x.req, x.transport.maxReplayBody)
	return nil
}

// attempt sends the request with the token of this moment. If the answer is
// that the token is refused, it sends the request once more with another token.
func (x *exchange) attempt() (*http.Response, error) {
	ctx := x.req.Context()
	if x.token != nil {
		ctx = tokensource.ContextWithToken(ctx, x.token)
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
	renewed := x.renew(refusal, token)
	if renewed == nil {
		return x.attachVerdict(resp, refusal.Verdict), nil
	}
	if out, err = x.outgoing(renewed); err != nil {
		return x.attachVerdict(resp, refusal.Verdict), nil //nolint:nilerr // What cannot be sent again leaves the caller the 401.
	}
	x.replayed = true
	x.retryGroup.markReplayed()
	_ = resp.Body.Close() // The renewal was worth it: nobody wants the rest.
	resp, err = x.send(out)
	return x.finish(resp, err, renewed)
}

// finish returns the answer to a replay. If that is a 401 again, it gets a
// verdict, and goes to the caller.
func (x *exchange) finish(resp *http.Response, err error, token *tokensource.Token) (*http.Response, error) {
	if !isUnauthorized(resp) {
		reportAccepted(resp, token)
		return resp, err
	}
	refusal := x.judgeRefusal(resp, token)
	x.renew(refusal, token)
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
		out.Trailer = nil // It is empty, and the reader of the body may change it.
	}
	if out.URL.Scheme == "http" && !x.transport.isHostHeaderListed(out) {
		out.Host = "" // The target's, and not one that a proxy's client chose.
	}
	return trailer.Keep(out), nil
}

// copyRequest returns a copy of the request with the context of its next
// sending. An ordinary request needs no context and no allocation for that.
func (x *exchange) copyRequest() *http.Request {
	ctx, traced := withoutToken(x.req.Context())
	if x.repeatable && !traced && x.sent == 0 {
		x.first = *x.req
		return &x.first
	}
	if !x.repeatable {
		ctx = x.traceConnection(ctx)
	}
	if x.sent > 0 {
		ctx = contextWithResendCount(ctx, x.sent)
	}
	return x.req.WithContext(ctx)
}

// send hands a request to the base.
func (x *exchange) send(out *http.Request) (*http.Response, error) {
	x.sent++
	resp, err := x.transport.send(out)
	if err != nil {
		if x.connection.preventedResend() && x.req.Context().Err() == nil {
			return nil, errMayBeExecuted
		}
		return nil, err
	}
	resp.Request = x.req // Not out: the token must not reach the caller's logging.
	x.transport.learnProtocol(resp)
	return resp, nil
}

// nextHeader returns the header for the next sending, without a token yet.
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

// reportAccepted tells the token that it was accepted. An error of a client's or of the
// platform's says nothing about the token.
func reportAccepted(resp *http.Response, token *tokensource.Token) {
	if resp != nil && resp.StatusCode < http.StatusBadRequest {
		token.ReportAccepted()
	}
}
