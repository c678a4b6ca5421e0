// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/pismoauth/pismoauth/internal/requesttarget"
	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// RoundTrip sends a request with the token of its account. It returns a failure
// of the plugin as a response, unless the client has left. It returns only
// errors of the transport below.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.health.isHealthCheck(req) {
		return t.sendHealthCheck(req)
	}
	in := requestStateOf(req.Context())
	resp, err := t.send(req, in)
	if err == nil && isTokenRefusal(resp) {
		_ = resp.Body.Close() // The response is replaced.
		resp, err = nil, middleware.ErrTokenRefused
	}
	in.failure = err
	switch {
	case err == nil:
		resp.Request = req
		sendHeadAtOnce(resp)
		return resp, nil
	case clientGone(req.Context()) && !errors.Is(err, errBodyUnreadable): // A client whose body timed out is answered.
		return nil, context.Canceled // reverse_proxy expects this error.
	case !isOwnFailure(err):
		return nil, err
	default:
		return t.answerError(req, err), nil
	}
}

// sendHeadAtOnce makes reverse_proxy send the head of a 401 before its body, by
// marking the length as unknown. The transport has already delayed a 401 whose
// body stalls. The header Content-Length stays.
func sendHeadAtOnce(resp *http.Response) {
	if resp.StatusCode == http.StatusUnauthorized && resp.ContentLength > 0 {
		resp.ContentLength = -1
	}
}

// clientGone reports whether the client of a request has left.
func clientGone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// send sends a request with the token of its account.
func (t *Transport) send(req *http.Request, in *requestState) (*http.Response, error) {
	if err := checkRequest(req); err != nil {
		return nil, err
	}
	switch {
	case req.Method == http.MethodConnect: // reverse_proxy turns the CONNECT of a WebSocket into GET.
		return nil, middleware.ErrMethodNotProxied
	case !requesttarget.Unambiguous(req): // A pismo_auth in front is optional.
		return nil, middleware.ErrInvalidTarget
	}
	ctx, err := t.withAccount(req.Context())
	if err != nil {
		return nil, err
	}
	out := req.WithContext(transport.ContextWithRetryGroup(ctx, in.retryGroupOf(t)))
	var body *clientBody
	if out.Body != nil && out.Body != http.NoBody {
		body = newClientBody(out.Body)
		out.Body = body
	}
	resp, err := t.authorize(out)
	if err == nil {
		return resp, nil
	}
	if failure := body.err(ctx); failure != nil {
		return nil, failure
	}
	if errors.Is(err, transport.ErrRequestTarget) {
		return nil, middleware.ErrInvalidTarget // The client chose the target.
	}
	return nil, err
}

// authorize sends a request with a token for the account in its context. The
// request must be a copy.
func (t *Transport) authorize(out *http.Request) (*http.Response, error) {
	to := &dialTarget{url: *out.URL, host: out.Host}
	t.setScheme(&to.url)
	*out = *out.WithContext(context.WithValue(out.Context(), dialKey{}, to)) // As in [Auth.ServeHTTP].
	dropField(out, "Authorization")
	if err := t.pinVerifiedHost(out, to); err != nil {
		return nil, err
	}
	return t.authorized.RoundTrip(out)
}

// answerError answers a request that failed in the plugin.
func (t *Transport) answerError(req *http.Request, err error) *http.Response {
	problem := middleware.ProblemOf(err)
	if problem.Status == http.StatusInternalServerError {
		t.client.report.RequestUnsent(dialAddress(req.Context()), remedyOf(err))
	}
	resp := synthesize(problem, req)
	resp.StatusCode = t.uncountedStatus(problem.Status)
	if t.Errors == errorsHandle || resp.StatusCode != problem.Status {
		resp.Header.Set(failureField, t.health.mark) // The failure route answers, with the status of the problem.
	}
	return resp
}

// errOtherClient is the error for a request whose pismo_auth and transport have
// different clients.
var errOtherClient = tokensource.NewError(tokensource.ErrMisconfigured,
	errors.New("pismo_auth and the transport have different clients"))

// withAccount returns a context with the account of a request: that of
// pismo_auth, or the transport's own.
func (t *Transport) withAccount(ctx context.Context) (context.Context, error) {
	if authenticated, ok := ctx.Value(clientKey{}).(*sharedClient); ok && authenticated != t.client.sharedClient {
		return nil, errOtherClient
	}
	_, known := tokensource.AccountFromContext(ctx)
	switch {
	case !known && ctx.Value(caddyhttp.VarsCtxKey) == nil:
		return nil, transport.ErrNoAccount // The request is internal to Caddy.
	case !t.account.isSet():
		return ctx, nil
	}
	account, err := t.account.accountFor(replacerOf(ctx))
	if err != nil {
		return nil, err
	}
	if before, ok := tokensource.AccountFromContext(ctx); ok && before != account {
		return nil, transport.ErrAccountConflict
	}
	return tokensource.ContextWithAccount(ctx, account), nil
}

// setScheme sets the scheme of the dialed URL. reverse_proxy leaves the scheme
// to its transport.
func (t *Transport) setScheme(dial *url.URL) { t.SetScheme(&http.Request{URL: dial}) }

// isOwnFailure reports whether a request failed in the plugin.
func isOwnFailure(err error) bool {
	var token *tokensource.Error
	var unsent transport.UnsentError
	var denial middleware.AuthError
	return errors.As(err, &token) || errors.As(err, &unsent) || errors.As(err, &denial) ||
		errors.Is(err, middleware.ErrTokenRefused) || errors.Is(err, errBodyUnreadable)
}

// isTokenRefusal reports whether a response is a 401 that refuses the token.
func isTokenRefusal(resp *http.Response) bool {
	verdict, ok := transport.VerdictOf(resp)
	return ok && verdict == transport.TokenRefused
}
