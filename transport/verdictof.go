package transport

import (
	"context"
	"net/http"
)

type verdictKey struct{}

// attachVerdict notes the verdict on a 401 that the caller gets.
//
// The verdict stands in the context of the response's Request: others who handle
// the response, such as an [http.Client] with a Timeout or otelhttp, replace its
// body, and leave its Request alone.
func (x *exchange) attachVerdict(resp *http.Response, verdict Verdict) *http.Response {
	x.retryGroup.storeVerdict(verdict)
	resp.Request = x.req.WithContext(context.WithValue(x.req.Context(), verdictKey{}, verdict))
	return resp
}

// VerdictOf returns the verdict on a 401 that a [Transport] returned, and
// whether there is one. [TokenRefused] then means that the token could not be
// renewed, that the request could not be replayed, or that its replay was
// refused as well: a failure of this program's, which a proxy must not pass on
// as if the client's own credentials were bad.
//
// The verdict is found by resp.Request, which is a copy of the caller's request.
// Code that wraps or replaces the body of the response does not hide it. Where
// code makes a response of its own, or returns none, put an [RetryGroup] into the
// context of the request, see [ContextWithRetryGroup]: it keeps the verdict too.
func VerdictOf(resp *http.Response) (Verdict, bool) {
	if resp == nil || resp.StatusCode != http.StatusUnauthorized || resp.Request == nil {
		return "", false
	}
	ctx := resp.Request.Context()
	if verdict, ok := ctx.Value(verdictKey{}).(Verdict); ok {
		return verdict, true
	}
	return retryGroupFrom(ctx).Verdict()
}
