package transport

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/pismoauth/pismoauth/internal/answer"
	"github.com/pismoauth/pismoauth/tokensource"
)

// How much of a body is read before it goes to the caller, or is thrown away,
// and how long that may take.
const (
	maxRefusal         = 64 << 10
	refusalReadTimeout = time.Second
)

// judgeRefusal reads the body of a 401, and comes to a verdict.
func (x *exchange) judgeRefusal(resp *http.Response, token *tokensource.Token) *Refusal {
	refusal := x.readRefusal(resp)
	refusal.TokenExpired = token.Expired()
	refusal.Verdict = refusal.classify()
	if x.transport.classify != nil {
		// A Classify that panics or blocks has no verdict.
		shown := refusal.copy() // Before the call: one that blocks may look at it later.
		refusal.Verdict = callGuarded(x.req.Context(), Unrecognized, func() Verdict { return x.transport.classify(shown) })
	}
	switch refusal.Verdict {
	case TokenRefused:
		token.ReportRefused(endpoint(x.req.URL))
	case AccountRefused, RequestRefused:
		token.ReportAccepted()
	}
	return refusal
}

// readRefusal reads the body of a 401, within limits, and gives resp another
// that begins with what was read. A body that was read to its end is closed:
// the request is over before the renewal begins.
func (x *exchange) readRefusal(resp *http.Response) *Refusal {
	if resp.Header.Get("Content-Length") == "0" {
		_ = resp.Body.Close() // Over HTTP/2 its end may be long in coming.
		resp.Body = http.NoBody
	}
	var content []byte
	whole := true
	if resp.Body != http.NoBody {
		ahead := prefetch(resp.Body, maxRefusal+1)
		content, whole = ahead.wait(x.req.Context(), refusalReadTimeout)
		resp.Body = ahead
		if whole = whole && len(content) <= maxRefusal; whole {
			_ = ahead.Close() // Nothing is left in it.
			resp.Body = io.NopCloser(bytes.NewReader(content))
		}
	}
	refusal := &Refusal{Request: x.req, Header: resp.Header}
	content = content[:min(len(content), maxRefusal)]
	refusal.Body, refusal.Complete = answer.Decode(resp.Header, content, maxRefusal)
	refusal.Complete = refusal.Complete && whole
	refusal.hasUndeclaredEncoding = answer.Undeclared(resp.Header, content, maxRefusal)
	return refusal
}

// renew does what the verdict on a 401 asks for. It returns the token to replay
// the request with, or nil if the caller gets the 401.
func (x *exchange) renew(refusal *Refusal, refused *tokensource.Token) *tokensource.Token {
	ctx, verdict, replayed := x.req.Context(), refusal.Verdict, x.replayed || x.retryGroup.isReplayed()
	info := RefusedInfo{Account: x.account, Serial: refused.Serial(), Verdict: verdict, Replayed: replayed}
	ctx, done := x.transport.hooks.refused(ctx, info)
	result := RefusedResult{Outcome: OutcomePassed}
	var token *tokensource.Token
	switch {
	case verdict == TokenRefused && replayed:
		// Another token was no help. To get a third would make an endpoint
		// that always answers 401 a source of token requests.
		result.Outcome = OutcomeNotReplayable
	case verdict == TokenRefused && !x.body.replayable():
		// The caller gets the 401 whatever comes of the renewal.
		x.transport.source.BeginRenewal(ctx, refused)
		result.Outcome = OutcomeNotReplayable
	case verdict == TokenRefused:
		token, result = x.replacementToken(ctx, refused)
	case verdict == Unrecognized && !replayed && x.shouldRenew(refusal, refused):
		x.transport.source.RenewInBackground(ctx, refused)
	}
	done(result)
	return token
}

// replacementToken gets the token that replaces a refused one, and with which the
// request is replayed. It is nil if the request is not replayed.
func (x *exchange) replacementToken(ctx context.Context, refused *tokensource.Token) (*tokensource.Token, RefusedResult) {
	token, err := x.transport.source.Renew(ctx, refused)
	switch {
	case err != nil:
		return nil, RefusedResult{Outcome: OutcomeNotRenewed, Err: err}
	case !x.body.rewind():
		return nil, RefusedResult{Outcome: OutcomeNotReplayable, Serial: token.Serial()}
	}
	return token, RefusedResult{Outcome: OutcomeReplayed, Serial: token.Serial()}
}

// shouldRenew reports whether an unrecognized 401 is a reason to renew the token. One
// that could not be read is no evidence: it is reason enough once.
func (x *exchange) shouldRenew(refusal *Refusal, refused *tokensource.Token) bool {
	if refusal.isLegible() {
		return true
	}
	left := x.req.Context().Err() != nil // So the body was not waited for.
	return !left && x.transport.learned.unreadRefusals.isFirst(x.account, refused.Lifetime(), time.Now())
}
