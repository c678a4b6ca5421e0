// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"

	"github.com/pismoauth/pismoauth/internal/hooks"
)

// JoinHooks returns hooks that call the hooks of a and then those of b. Each
// hook gets the context that the previous hook returned. The functions that the
// hooks return are called in reverse order.
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
