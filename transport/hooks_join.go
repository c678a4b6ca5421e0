package transport

import (
	"context"
)

// JoinHooks returns hooks that call the hooks of a and then those of b. Each
// hook gets the context that the previous hook returned. The functions that the
// hooks return are called in reverse order.
func JoinHooks(a, b Hooks) Hooks {
	return Hooks{Refused: joinRefused(a.Refused, b.Refused), Retry: joinRetry(a.Retry, b.Retry)}
}

func joinRefused(a, b func(context.Context, RefusedInfo) (context.Context, func(RefusedResult))) func(context.Context, RefusedInfo) (context.Context, func(RefusedResult)) {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(ctx context.Context, info RefusedInfo) (context.Context, func(RefusedResult)) {
		ctx, doneA := a(ctx, info)
		ctx, doneB := b(ctx, info)
		return ctx, func(result RefusedResult) {
			for _, done := range []func(RefusedResult){doneB, doneA} {
				if done != nil {
					done(result)
				}
			}
		}
	}
}

func joinRetry(a, b func(context.Context, RetryInfo)) func(context.Context, RetryInfo) {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(ctx context.Context, info RetryInfo) {
		a(ctx, info)
		b(ctx, info)
	}
}
