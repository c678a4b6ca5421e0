// Package hooks joins hooks, as httptrace joins those of nested ClientTraces.
//
// A hook that announces something returns a context and a function. The context
// is used for what is announced; the function, which may be nil, is called when
// that has ended. A nil hook is one that nobody set.
package hooks

import "context"

// A Hook is called with information I at a beginning, and returns a function
// that is called with the result R at the end.
type Hook[I, R any] = func(ctx context.Context, info I) (context.Context, func(R))

// Join returns a hook that calls a and then b. The hook b sees the context that
// a returned. The functions that they return are called in the reverse order,
// as nested calls end. Join returns nil if both hooks are nil.
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
// It returns the other function if one of them is nil, and nil if both are.
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
