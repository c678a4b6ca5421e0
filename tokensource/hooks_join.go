// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"

	"github.com/pismoauth/pismoauth/internal/hooks"
)

// JoinHooks returns hooks that call the hooks of a and then those of b. Each
// hook gets the context that the previous hook returned. The functions that the
// hooks return are called in reverse order.
func JoinHooks(a, b Hooks) Hooks {
	return Hooks{
		Acquire: hooks.Join(a.Acquire, b.Acquire),
		Renew:   hooks.Join(a.Renew, b.Renew),
		Issue:   joinIssue(a.Issue, b.Issue),
	}
}

func joinIssue(a, b func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult))) func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult)) {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult)) {
		issue, doneA := a(issue, caller, info)
		issue, doneB := b(issue, caller, info)
		return issue, hooks.JoinFuncs(doneB, doneA)
	}
}
