package transport

import (
	"context"
	"net/http/httptrace"
	"strings"
)

// withoutToken returns ctx, or, if a caller traces the request, a context whose
// WroteHeaderField hook is not told of Authorization: the token would end in the
// caller's logs. It reports whether it had to change ctx.
func withoutToken(ctx context.Context) (_ context.Context, changed bool) {
	callers := httptrace.ContextClientTrace(ctx)
	if callers == nil || callers.WroteHeaderField == nil {
		return ctx, false
	}
	trace := *callers
	trace.WroteHeaderField = func(name string, values []string) {
		if !strings.EqualFold(name, "Authorization") {
			callers.WroteHeaderField(name, values)
		}
	}
	return httptrace.WithClientTrace(contextWithoutTrace{ctx}, &trace), true
}

// contextWithoutTrace is a context without the hooks that it carries:
// httptrace.WithClientTrace adds hooks to those, and cannot replace any.
type contextWithoutTrace struct{ context.Context }

func (u contextWithoutTrace) Value(key any) any {
	value := u.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}
