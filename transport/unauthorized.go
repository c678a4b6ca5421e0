package transport

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// maxRefusal is how much of a 401's body is read for a verdict.
const maxRefusal = 64 << 10

// unauthorized deals with a 401: it comes to a verdict, and returns the 401, or
// the response to the request's replay.
func (x *exchange) unauthorized(resp *http.Response, token *tokensource.Token) (*http.Response, error) {
	refusal := readRefusal(resp, x.req)
	refusal.TokenExpired = token.Expired()
	refusal.Verdict = refusal.judge()
	if x.transport.triage != nil {
		refusal.Verdict = x.transport.triage(refusal)
	}
	renewed := x.renew(refusal.Verdict, token)
	if renewed == nil {
		return mark(resp, refusal.Verdict), nil
	}
	out, err := x.outgoing(renewed)
	if err != nil {
		return mark(resp, refusal.Verdict), nil //nolint:nilerr // What cannot be sent again leaves the caller the 401.
	}
	x.replayed = true
	x.attempts.replay()
	_ = resp.Body.Close() // All of it was read, or nobody wants the rest.
	resp, err = x.send(out)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return x.unauthorized(resp, renewed)
}

// renew does what the verdict on a 401 asks for. It returns the token to replay
// the request with, or nil if the caller gets the 401.
func (x *exchange) renew(verdict Verdict, refused *tokensource.Token) *tokensource.Token {
	t, ctx, replayed := x.transport, x.req.Context(), x.replayed || x.attempts.spent()
	var done func(RefusedResult)
	if t.hooks.Refused != nil {
		ctx, done = t.hooks.Refused(ctx, RefusedInfo{Account: x.account, Serial: refused.Serial(), Verdict: verdict, Replayed: replayed})
	}
	result := RefusedResult{Outcome: OutcomePassed}
	var token *tokensource.Token
	switch {
	case verdict == TokenRefused && replayed:
		// Another token was no help. To get a third would make an endpoint
		// that always answers 401 a source of token requests.
		result.Outcome = OutcomeNotReplayable
	case verdict == TokenRefused:
		token, result = x.successor(ctx, refused)
	case verdict == Unclear && !replayed:
		t.source.RenewInBackground(ctx, refused)
	}
	if done != nil {
		done(result)
	}
	if result.Outcome != OutcomeReplayed {
		return nil
	}
	return token
}

// successor gets the token that replaces a refused one.
func (x *exchange) successor(ctx context.Context, refused *tokensource.Token) (*tokensource.Token, RefusedResult) {
	token, err := x.transport.source.Renew(ctx, refused)
	if err != nil {
		return nil, RefusedResult{Outcome: OutcomeNotRenewed, Err: err}
	}
	outcome := OutcomeReplayed
	if !x.body.rewind() {
		outcome = OutcomeNotReplayable
	}
	return token, RefusedResult{Outcome: outcome, Serial: token.Serial()}
}

// readRefusal reads the body of a 401, up to a limit, and gives resp another
// that begins with what was read. A body that was read to its end is closed:
// the request is over before the renewal begins.
func readRefusal(resp *http.Response, req *http.Request) *Refusal {
	read, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal+1))
	whole := err == nil && len(read) <= maxRefusal
	if whole {
		_ = resp.Body.Close() // Nothing is left in it.
		resp.Body = io.NopCloser(bytes.NewReader(read))
	} else {
		rest := resp.Body
		if err != nil {
			rest = failing{rest, err}
		}
		resp.Body = prefixed{io.MultiReader(bytes.NewReader(read), rest), rest}
	}
	refusal := &Refusal{Request: req, Header: resp.Header}
	refusal.Body, refusal.Complete = decode(read[:min(len(read), maxRefusal)], resp.Header.Get("Content-Encoding"))
	refusal.Complete = refusal.Complete && whole
	return refusal
}

// decode undoes the encoding of a body, and reports whether it is whole then.
// The base decodes only what it asked for; a proxy passes on what the client
// asked for.
func decode(body []byte, encoding string) ([]byte, bool) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
	default:
		return nil, len(body) == 0
	}
	if len(body) == 0 {
		return nil, true
	}
	unzip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, false
	}
	plain, err := io.ReadAll(io.LimitReader(unzip, maxRefusal+1))
	if err != nil || len(plain) > maxRefusal {
		return plain[:min(len(plain), maxRefusal)], false
	}
	return plain, true
}

// prefixed is a body of which a part was read and put back.
type prefixed struct {
	io.Reader
	io.Closer
}

// failing is a body that could not be read to its end.
type failing struct {
	io.Closer
	err error
}

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// marked is the body of a 401 that the caller gets.
type marked struct {
	io.ReadCloser
	verdict Verdict
}

func mark(resp *http.Response, verdict Verdict) *http.Response {
	resp.Body = marked{resp.Body, verdict}
	return resp
}

// VerdictOf returns the verdict on a 401 that a [Transport] returned, and
// whether there is one. [TokenRefused] then means that the token could not be
// renewed, that the request could not be replayed, or that its replay was
// refused as well: a failure of this program's, which a proxy must not pass on
// as if the client's own credentials were bad.
//
// The verdict comes with the body: who wraps that, as an [http.Client] with a
// Timeout does, hides it.
func VerdictOf(resp *http.Response) (Verdict, bool) {
	body, ok := resp.Body.(marked)
	return body.verdict, ok
}
