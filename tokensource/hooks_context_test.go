// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestHooks_ContextIsUsed(t *testing.T) {
	type key string
	bubble(t, func(t *testing.T) {
		var seen []any
		issuer := issuerFunc(func(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
			seen = append(seen, ctx.Value(key("issue")), ctx.Value(key("caller")))
			return opaque("x", 0), nil
		})
		src := newSource(t, issuer, withHooks(tokensource.Hooks{
			Issue: func(issue, caller context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
				if issue.Value(key("caller")) != nil {
					t.Error("the issuance's context has the caller's values")
				}
				if _, limited := issue.Deadline(); !limited {
					t.Error("the issuance's context has no time limit")
				}
				seen = append(seen, caller.Value(key("caller")))
				return context.WithValue(issue, key("issue"), "span"), nil
			},
		}))
		_, err := src.Token(context.WithValue(t.Context(), key("caller"), "request"), acct(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		if want := []any{"request", "span", nil}; !slices.Equal(seen, want) {
			t.Errorf("got %v, want %v", seen, want)
		}
	})
}

func TestHooks_ContextBoundsTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d, withHooks(tokensource.Hooks{
			Acquire: func(ctx context.Context, _ tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
				ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
				return ctx, func(tokensource.AcquireResult) { cancel() }
			},
			Renew: func(ctx context.Context, _ tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
				ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
				return ctx, func(tokensource.RenewResult) { cancel() }
			},
		}))
		tok := token(t, src, acct(t, 1))
		d.latency = time.Second
		wantNotRenewed(t, src, tok, tokensource.ErrTimeout)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrTimeout)
	})
}

func TestHooks_MayReturnNoFunction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d, withHooks(silent))
		tok := token(t, src, acct(t, 1))
		token(t, src, acct(t, 1))
		renew(t, src, tok)
		d.fail(errDown)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrUnavailable)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrUnavailable)
	})
}

// silent are hooks that return no function for the end.
var silent = tokensource.Hooks{
	Acquire: func(ctx context.Context, _ tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
		return ctx, nil
	},
	Issue: func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
		return issue, nil
	},
	Renew: func(ctx context.Context, _ tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
		return ctx, nil
	},
}

func TestJoinHooks_Nests(t *testing.T) {
	type key struct{}
	var lines []string
	named := func(name string) tokensource.Hooks {
		// The hook gets a context with the values of the previous hook.
		begin := func(ctx context.Context, what string) context.Context {
			path, _ := ctx.Value(key{}).(string)
			lines = append(lines, fmt.Sprintf("%s %s after %q", name, what, path))
			return context.WithValue(ctx, key{}, path+name)
		}
		end := func(what string) { lines = append(lines, name+" "+what) }
		return tokensource.Hooks{
			Acquire: func(ctx context.Context, _ tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
				return begin(ctx, "acquire"), func(tokensource.AcquireResult) { end("acquired") }
			},
			Issue: func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
				return begin(issue, "issue"), func(tokensource.IssueResult) { end("issued") }
			},
			Renew: func(ctx context.Context, _ tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
				return begin(ctx, "renew"), func(tokensource.RenewResult) { end("renewed") }
			},
		}
	}
	call := func(hooks tokensource.Hooks) []string {
		lines = nil
		ctx := t.Context()
		if ctx, done := hooks.Acquire(ctx, tokensource.AcquireInfo{}); done != nil {
			lines = append(lines, fmt.Sprint(ctx.Value(key{})))
			done(tokensource.AcquireResult{})
		}
		if ctx, done := hooks.Issue(ctx, ctx, tokensource.IssueInfo{}); done != nil {
			lines = append(lines, fmt.Sprint(ctx.Value(key{})))
			done(tokensource.IssueResult{})
		}
		if ctx, done := hooks.Renew(ctx, tokensource.RenewInfo{}); done != nil {
			lines = append(lines, fmt.Sprint(ctx.Value(key{})))
			done(tokensource.RenewResult{})
		}
		return lines
	}
	a, b, none := named("a"), named("b"), tokensource.Hooks{}

	wantLines(t, "a and b", call(tokensource.JoinHooks(a, b)),
		`a acquire after ""`, `b acquire after "a"`, "ab", "b acquired", "a acquired",
		`a issue after ""`, `b issue after "a"`, "ab", "b issued", "a issued",
		`a renew after ""`, `b renew after "a"`, "ab", "b renewed", "a renewed")
	for what, hooks := range map[string]tokensource.Hooks{
		"a and none": tokensource.JoinHooks(a, none),
		"none and a": tokensource.JoinHooks(none, a),
	} {
		wantLines(t, what, call(hooks),
			`a acquire after ""`, "a", "a acquired", `a issue after ""`, "a", "a issued", `a renew after ""`, "a", "a renewed")
	}
	for what, hooks := range map[string]tokensource.Hooks{
		"a and silent ones": tokensource.JoinHooks(a, silent),
		"silent ones and a": tokensource.JoinHooks(silent, a),
	} {
		wantLines(t, what, call(hooks),
			`a acquire after ""`, "a", "a acquired", `a issue after ""`, "a", "a issued", `a renew after ""`, "a", "a renewed")
	}
	if got := tokensource.JoinHooks(none, none); got.Acquire != nil || got.Issue != nil || got.Renew != nil {
		t.Error("JoinHooks of zero Hooks is not the zero Hooks")
	}
	if got := call(tokensource.JoinHooks(silent, silent)); len(got) != 0 {
		t.Errorf("hooks without a function were called: %q", got)
	}
}
