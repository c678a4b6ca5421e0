package transport

import (
	"context"

	"github.com/pismoauth/pismoauth/internal/hooks"
)

// JoinHooks returns hooks that call those of a and then those of b. Each sees
// the context that the one before it returned; what they return is called in
// the reverse order, as nested calls end.
func JoinHooks(a, b Hooks) Hooks {
	return Hooks{Refused: hooks.Join(a.Refused, b.Refused), Retry: joinRetry(a.Retry, b.Retry)}
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
