// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net/http/httptrace"
	"strings"
)

// withoutToken returns ctx, and false, if no caller traces the header of the
// request. Otherwise it returns a context whose WroteHeaderField hook does not
// get Authorization, and true. The token would otherwise reach the caller's
// logs.
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

// contextWithoutTrace is a context without its httptrace hooks.
// httptrace.WithClientTrace adds to the existing hooks, and cannot replace
// them.
type contextWithoutTrace struct{ context.Context }

func (u contextWithoutTrace) Value(key any) any {
	value := u.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}
