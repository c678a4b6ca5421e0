// SPDX-License-Identifier: Apache-2.0

// Package hooks joins hooks, as httptrace joins the hooks of nested
// ClientTraces.
//
// A hook for the beginning of an operation returns a context and a function.
// The operation uses that context. The function is called at the end of the
// operation, and may be nil. A nil hook is not set.
package hooks

import "context"

// A Hook is called with information I at the beginning of an operation. It
// returns a function that is called with the result R at the end.
type Hook[I, R any] = func(ctx context.Context, info I) (context.Context, func(R))

// Join returns a hook that calls a and then b. The hook b gets the context that
// a returned. The functions that the hooks return are called in the reverse
// order, as nested calls end. Join returns nil if both hooks are nil.
func Join[I, R any](a, b Hook[I, R]) Hook[I, R] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(ctx context.Context, info I) (context.Context, func(R)) {
		ctx, doneA := a(ctx, info)
		ctx, doneB := b(ctx, info)
		return ctx, JoinFuncs(doneB, doneA)
	}
}

// JoinFuncs returns a function that calls a and then b with the same argument.
// If one of them is nil, JoinFuncs returns the other. If both are nil, it
// returns nil.
func JoinFuncs[T any](a, b func(T)) func(T) {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(argument T) {
		a(argument)
		b(argument)
	}
}
