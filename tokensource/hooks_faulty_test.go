// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

type issueHook = func(context.Context, context.Context, tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult))

func issueHooks(hook issueHook) func(*tokensource.Config) {
	return func(c *tokensource.Config) { c.Hooks.Issue = hook }
}

// An issuance runs on its own goroutine, where no server recovers a panic. A
// panic would end the program.
func TestHooks_PanicFailsTheIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{}, issueHooks(func(context.Context, context.Context, tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			panic("inconsistent label cardinality")
		}))
		for _, g := range together(3, 0, func(int) (*tokensource.Token, error) { return src.Token(t.Context(), acct(t, 1)) }) {
			wantKind(t, g.err, tokensource.ErrIssuerPanic)
		}
	})
}

func TestHooks_NilContextFailsTheIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{}, issueHooks(func(context.Context, context.Context, tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			return nil, nil
		}))
		wantNoToken(t, src, acct(t, 1), tokensource.ErrIssuerPanic)
	})
}

// The hook runs after the token is stored. A panic in the hook must not cost
// the caller the token.
func TestHooks_PanicAtTheEndCostsNoToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{}, issueHooks(func(ctx, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			return ctx, func(tokensource.IssueResult) { panic("inconsistent label cardinality") }
		}))
		token(t, src, acct(t, 1))
	})
}

func TestHooks_BlockedHookHoldsNoCaller(t *testing.T) {
	for name, hook := range map[string]issueHook{
		"at the beginning": func(ctx, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			time.Sleep(8 * time.Second) // The exporter hangs.
			return ctx, nil
		},
		"at the end": func(ctx, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			return ctx, func(tokensource.IssueResult) { time.Sleep(8 * time.Second) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newSource(t, &fakeIssuer{latency: 10 * time.Millisecond}, issueHooks(hook))
				all := together(2, 0, func(i int) (*tokensource.Token, error) {
					ctx, cancel := context.WithTimeout(t.Context(), []time.Duration{30 * time.Millisecond, time.Hour}[i])
					defer cancel()
					return src.Token(ctx, acct(t, 1))
				})
				if wantKind(t, all[0].err, tokensource.ErrTimeout); all[0].waited != 30*time.Millisecond {
					t.Errorf("a caller with a deadline of 30ms waited %v", all[0].waited)
				}
				if all[1].err != nil || all[1].waited != 1010*time.Millisecond {
					t.Errorf("a patient caller got %v, %v after %v", all[1].token, all[1].err, all[1].waited)
				}
			})
		})
	}
}

// A caller gets a token only after the hook has recorded its issuance. A caller
// that arrives while the hook runs waits for the hook, like the callers that
// waited for the issuance.
func TestHooks_IssueEndsBeforeTheTokenIsSeen(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *tokensource.Source){
		"a first token": func(*testing.T, *tokensource.Source) {},
		"a new token":   func(t *testing.T, src *tokensource.Source) { token(t, src, acct(t, 1)); src.Invalidate(acct(t, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newSource(t, &fakeIssuer{latency: 10 * time.Millisecond}, issueHooks(func(ctx, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
					return ctx, func(tokensource.IssueResult) { time.Sleep(90 * time.Millisecond) }
				}))
				prepare(t, src)
				all := together(2, 50*time.Millisecond, func(int) (*tokensource.Token, error) { return src.Token(t.Context(), acct(t, 1)) })
				for i, want := range []time.Duration{100 * time.Millisecond, 50 * time.Millisecond} {
					if all[i].err != nil || all[i].waited != want {
						t.Errorf("caller %d got %v after %v, want a token after %v", i, all[i].err, all[i].waited, want)
					}
				}
			})
		})
	}
}
