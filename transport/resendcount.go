package transport

import (
	"context"
)

type resendKey struct{}

func contextWithResendCount(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, resendKey{}, n)
}

// ResendCount returns how often a request had been sent before, if ctx is the
// context of a request that a [Transport] hands to its base: 0 the first time.
// It is what OpenTelemetry calls http.request.resend_count.
func ResendCount(ctx context.Context) int {
	n, _ := ctx.Value(resendKey{}).(int)
	return n
}
