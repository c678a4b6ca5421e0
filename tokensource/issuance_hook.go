package tokensource

import (
	"context"
	"log/slog"
	"time"
)

// hookPatience is how long an issuance waits for its hook.
const hookPatience = time.Second

// announce calls the Issue hook. A hook that panics fails the issuance; one that
// blocks is left behind, and hears nothing of the end.
func (s *Source) announce(ctx, caller context.Context, f *issuance) (context.Context, *Error) {
	hook := s.hooks.Issue
	if hook == nil {
		return ctx, nil
	}
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
		return ctx, NewError(ErrIssuerPanic, Explain("the Issue hook panicked", a.panicked))
	case a.value.ctx == nil:
		return ctx, NewError(ErrIssuerPanic, Explain("the Issue hook returned a nil context", nil))
	}
	f.observer = a.value.done
	return a.value.ctx, nil
}

// observe calls what the Issue hook returned. Those who wait for the issuance go
// on afterwards, so that a caller who has a token finds it counted. A panic here
// costs nobody the token that was issued.
func (f *issuance) observe(result IssueResult) {
	if f.observer == nil {
		return
	}
	a, ok := await(detach(func() struct{} { f.observer(result); return struct{}{} }))
	if ok && a.panicked != nil {
		//nolint:forbidigo // No caller can be told, and a panic must not be silent.
		slog.Error("pismoauth: the function that an Issue hook returned panicked; the token is not affected", "issuance", f.number)
	}
}

// await waits for a hook, and reports whether it answered in time.
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
