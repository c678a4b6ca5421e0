// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"time"
)

const (
	// hookTimeout is how long a request waits for a hook.
	hookTimeout = time.Second
	// hookGrace is how long a request waits for a hook if its context is
	// done. A hook that does not block needs less.
	hookGrace = 10 * time.Millisecond
)

// callGuarded calls a function of the user and returns its result. If the
// function panics, or does not return in time, callGuarded returns byDefault.
func callGuarded[T any](ctx context.Context, byDefault T, call func() T) T {
	results := make(chan T, 1)
	go func() {
		result := byDefault
		defer func() {
			if recover() != nil {
				result = byDefault
			}
			results <- result
		}()
		result = call()
	}()
	timer := time.NewTimer(hookTimeout)
	defer timer.Stop()
	select {
	case result := <-results:
		return result
	case <-ctx.Done():
		timer.Reset(hookGrace)
	case <-timer.C:
		return byDefault
	}
	select {
	case result := <-results:
		return result
	case <-timer.C:
		return byDefault
	}
}

// refused calls the hook Refused. It returns the context for the renewal, and
// the function to call with the result.
func (h *Hooks) refused(ctx context.Context, info RefusedInfo) (context.Context, func(RefusedResult)) {
	type announced struct {
		ctx  context.Context
		done func(RefusedResult)
	}
	if h.Refused == nil {
		return ctx, func(RefusedResult) {}
	}
	a := callGuarded(ctx, announced{ctx: ctx}, func() announced {
		ctx, done := h.Refused(ctx, info)
		return announced{ctx, done}
	})
	if a.ctx == nil {
		a.ctx = ctx
	}
	return a.ctx, func(result RefusedResult) {
		if a.done != nil {
			callGuarded(ctx, struct{}{}, func() struct{} { a.done(result); return struct{}{} })
		}
	}
}

// retry calls the hook Retry.
func (h *Hooks) retry(ctx context.Context, info RetryInfo) {
	if h.Retry != nil {
		callGuarded(ctx, struct{}{}, func() struct{} { h.Retry(ctx, info); return struct{}{} })
	}
}
