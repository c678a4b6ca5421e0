// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net/http"
)

type verdictKey struct{}

// attachVerdict records the verdict on a 401 that the caller gets.
//
// The verdict stands in the context of the response's Request. Other code that
// handles the response, such as an [http.Client] with a Timeout or otelhttp,
// may replace its body, but not its Request.
func (x *exchange) attachVerdict(resp *http.Response, verdict Verdict) *http.Response {
	x.retryGroup.storeVerdict(verdict)
	resp.Request = x.req.WithContext(context.WithValue(x.req.Context(), verdictKey{}, verdict))
	return resp
}

// VerdictOf returns the verdict on a 401 that a [Transport] returned, and
// whether there is a verdict. [TokenRefused] then means that the token could
// not be renewed, that the request could not be replayed, or that its replay
// was refused too. This is a failure of the program. A proxy must not pass it
// on as if the client's own credentials were wrong.
//
// VerdictOf finds the verdict through resp.Request, which is a copy of the
// caller's request. Code that wraps or replaces the body of the response does
// not hide the verdict. If other code replaces the response, or returns none,
// put a [RetryGroup] into the context of the request, see
// [ContextWithRetryGroup]. The RetryGroup keeps the verdict too.
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
