// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
)

type resendKey struct{}

func contextWithResendCount(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, resendKey{}, n)
}

// ResendCount returns how often a request was sent before, if ctx is the
// context of a request that a [Transport] hands to its base. It is 0 for the
// first send. It counts neither earlier attempts of a [RetryGroup], nor the
// requests that the base sends again by itself. OpenTelemetry calls this number
// http.request.resend_count.
func ResendCount(ctx context.Context) int {
	n, _ := ctx.Value(resendKey{}).(int)
	return n
}
