// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"log/slog"
	"time"
)

// hookPatience is how long an issuance waits for the Issue hook.
const hookPatience = time.Second

// announce calls the Issue hook. If the hook panics, the issuance fails. If the
// hook blocks, the issuance continues, and does not report its result to the
// hook.
func (s *Source) announce(ctx, caller context.Context, f *issuance) (context.Context, *Error) {
	hook := s.hooks.Issue
	if hook == nil {
		return ctx, nil
	}
	defer close(f.announced)
	type observed struct {
		ctx  context.Context
		done func(IssueResult)
	}
	info := IssueInfo{Account: f.entry.account, Issuance: f.number, Reason: f.reason}
	a, ok := await(detach(func() observed {
		ctx, done := hook(ctx, caller, info)
		return observed{ctx, done}
	}))
	switch {
	case !ok:
		return ctx, nil
	case a.panicked != nil:
		return ctx, NewError(ErrIssuerPanic, SafeError("the Issue hook panicked", a.panicked))
	case a.value.ctx == nil:
		return ctx, NewError(ErrIssuerPanic, SafeError("the Issue hook returned a nil context", nil))
	}
	f.observer = a.value.done
	return a.value.ctx, nil
}

// observe calls the function that the Issue hook returned. Callers that wait
// for the issuance continue afterwards, so a caller with the token finds the
// issuance counted. A panic does not affect the token that was issued.
func (f *issuance) observe(result IssueResult) {
	if f.observer == nil {
		return
	}
	a, ok := await(detach(func() struct{} { f.observer(result); return struct{}{} }))
	if ok && a.panicked != nil {
		//nolint:forbidigo // A panic must not be silent, and no caller gets it.
		slog.Error("pismoauth: the function that an Issue hook returned panicked, but the token is not affected", "issuance", f.number)
	}
}

// await waits for a hook. It reports whether the hook returned in time.
func await[T any](answers <-chan answer[T]) (answer[T], bool) {
	patience := time.NewTimer(hookPatience)
	defer patience.Stop()
	select {
	case a := <-answers:
		return a, true
	case <-patience.C:
		return answer[T]{}, false
	}
}
