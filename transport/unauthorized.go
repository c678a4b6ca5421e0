// SPDX-License-Identifier: Apache-2.0

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

// Limits for reading a body before it goes to the caller or is discarded.
const (
	maxRefusal         = 64 << 10
	refusalReadTimeout = time.Second
)

// judgeRefusal reads the body of a 401, and returns the refusal with its
// verdict.
func (x *exchange) judgeRefusal(resp *http.Response, token *tokensource.Token) *Refusal {
	refusal := x.readRefusal(resp)
	refusal.TokenExpired = token.Expired()
	refusal.Verdict = refusal.classify()
	if classify := x.transport.classify; classify != nil {
		// A Classify that blocks may still read its copy later.
		shown := refusal.copy()
		refusal.Verdict = callGuarded(x.req.Context(), Unrecognized, func() Verdict { return classify(shown) })
	}
	switch refusal.Verdict {
	case TokenRefused:
		token.ReportRefused(endpoint(x.req.URL))
	case AccountRefused, RequestRefused:
		token.ReportAccepted()
	}
	return refusal
}

// readRefusal reads the body of a 401, within limits. It gives resp another
// body that begins with the bytes that were read. A body that was read to its
// end is closed, so the request is over before the renewal begins.
func (x *exchange) readRefusal(resp *http.Response) *Refusal {
	if resp.Header.Get("Content-Length") == "0" {
		_ = resp.Body.Close() // Over HTTP/2 the end of the stream may be late.
		resp.Body = http.NoBody
	}
	var content []byte
	whole := true
	if resp.Body != http.NoBody {
		ahead := prefetch(resp.Body, maxRefusal+1)
		content, whole = ahead.wait(x.req.Context(), refusalReadTimeout)
		resp.Body = ahead
		if whole = whole && len(content) <= maxRefusal; whole {
			_ = ahead.Close() // The body was read to its end.
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

// actOnVerdict acts on the verdict on a 401. It returns the token for a replay,
// or nil if the caller gets the 401. After a replay it renews nothing, and only
// calls the hook.
func (x *exchange) actOnVerdict(refusal *Refusal, refused *tokensource.Token) *tokensource.Token {
	ctx, verdict, replayed := x.req.Context(), refusal.Verdict, x.replayed || x.retryGroup.isReplayed()
	info := RefusedInfo{Account: x.account, Serial: refused.Serial(), Verdict: verdict, Replayed: replayed}
	ctx, done := x.transport.hooks.refused(ctx, info)
	result := RefusedResult{Outcome: OutcomePassed}
	var token *tokensource.Token
	switch {
	case verdict == TokenRefused && replayed:
		// Another token did not help. A third token would turn an
		// endpoint that always answers 401 into a source of token
		// requests.
		result.Outcome = OutcomeNotReplayable
	case verdict == TokenRefused && !x.body.replayable():
		// The caller gets the 401, so the request does not wait for the
		// renewal.
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

// replacementToken returns the token that replaces a refused token for a
// replay. It returns nil if the request is not replayed.
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

// shouldRenew reports whether an unrecognized 401 is a reason to renew the
// token. A 401 that could not be read is no evidence, and a reason only once
// per lifetime of a token.
func (x *exchange) shouldRenew(refusal *Refusal, refused *tokensource.Token) bool {
	if refusal.isLegible() {
		return true
	}
	left := x.req.Context().Err() != nil // Then the body may be unread because the caller left.
	return !left && x.transport.learned.unreadRefusals.isFirst(x.account, refused.Lifetime(), time.Now())
}
