package tokensource

import (
	"context"
)

// JoinHooks returns hooks that call the hooks of a and then those of b. Each
// hook gets the context that the previous hook returned. The functions that the
// hooks return are called in reverse order.
func JoinHooks(a, b Hooks) Hooks {
	return Hooks{
		Acquire: joinHook(a.Acquire, b.Acquire),
		Renew:   joinHook(a.Renew, b.Renew),
		Issue:   joinIssue(a.Issue, b.Issue),
	}
}

func joinHook[I, R any](a, b func(context.Context, I) (context.Context, func(R))) func(context.Context, I) (context.Context, func(R)) {
	if a == nil || b == nil {
		return either(a, b, a == nil)
	}
	return func(ctx context.Context, info I) (context.Context, func(R)) {
		ctx, doneA := a(ctx, info)
		ctx, doneB := b(ctx, info)
		return ctx, joinDone(doneA, doneB)
	}
}

func joinIssue(a, b func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult))) func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult)) {
	if a == nil || b == nil {
		return either(a, b, a == nil)
	}
	return func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult)) {
		issue, doneA := a(issue, caller, info)
		issue, doneB := b(issue, caller, info)
		return issue, joinDone(doneA, doneB)
	}
}

// joinDone calls b before a, as nested calls end.
func joinDone[R any](a, b func(R)) func(R) {
	if a == nil || b == nil {
		return either(a, b, a == nil)
	}
	return func(result R) {
		b(result)
		a(result)
	}
}

func either[T any](a, b T, second bool) T {
	if second {
		return b
	}
	return a
}
