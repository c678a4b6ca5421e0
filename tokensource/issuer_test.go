// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestIssuer_GetsNoCallerValues(t *testing.T) {
	type key struct{}
	var seen any
	issued := 0
	src := newSource(t, issuerFunc(func(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
		seen = ctx.Value(key{})
		issued++
		return opaque("x"+strconv.Itoa(issued), 0), nil
	}))
	tok, err := src.Token(context.WithValue(t.Context(), key{}, "dial info"), acct(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if seen != nil {
		t.Errorf("Token: the issuer sees the caller's value %v", seen)
	}
	if _, err := src.Renew(context.WithValue(t.Context(), key{}, "dial info"), tok); err != nil {
		t.Fatal(err)
	}
	if seen != nil {
		t.Errorf("Renew: the issuer sees the caller's value %v", seen)
	}
}

func TestIssuance_HasItsOwnTimeLimit(t *testing.T) {
	for name, tt := range map[string]struct{ configured, want time.Duration }{
		"by default": {0, 10 * time.Second},
		"configured": {3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newSource(t, &fakeIssuer{latency: time.Hour}, func(c *tokensource.Config) { c.IssueTimeout = tt.configured })
				start := time.Now()
				err := wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout)
				between(t, "the wait", time.Since(start), tt.want, tt.want)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v is not context.DeadlineExceeded", err)
				}
			})
		})
	}
}

func TestIssuer_PanicIsAnError(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":           func() { panic("SENTINEL") },
		"panic with nil":  func() { panic(nil) }, //nolint:govet // The test needs a nil panic.
		"runtime error":   func() { _ = []int{}[len(name)] },
		"runtime.Goexit":  runtime.Goexit,
		"panic in a call": func() { panic(errors.New("SENTINEL")) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: time.Millisecond}
				broken := true
				src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
					grant, err := d.Issue(ctx, account)
					if broken {
						end()
					}
					return grant, err
				}))
				all := together(10, 0, func(int) (*tokensource.Token, error) {
					return src.Token(t.Context(), acct(t, 1))
				})
				for _, g := range all {
					err := wantKind(t, g.err, tokensource.ErrIssuerPanic)
					wantHidden(t, "the error of an issuer that panicked", err, sentinel)
				}
				wantAsked(t, d, 1)
				wantNoToken(t, src, acct(t, 1), tokensource.ErrIssuerPanic)
				wantAsked(t, d, 1) // The failure starts a cooldown, like any failure.

				broken = false
				time.Sleep(time.Second)
				token(t, src, acct(t, 1))
			})
		})
	}
}

// name is a variable, so that the compiler does not see a constant.
var name = "an index out of range"

func TestIssuer_IgnoredContextIsLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		var calls atomic.Int64
		src := newSource(t, issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
			if calls.Add(1) == 1 {
				<-hang
				return opaque("late", 0), nil
			}
			return opaque("newer", 0), nil
		}))
		start := time.Now()
		wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout)
		between(t, "the wait", time.Since(start), 10*time.Second, 10*time.Second)

		time.Sleep(time.Second)
		if tok := token(t, src, acct(t, 1)); tok.Reveal() != "newer" {
			t.Fatalf("got the token %q", tok.Reveal())
		}
		close(hang)
		synctest.Wait()
		if tok := token(t, src, acct(t, 1)); tok.Reveal() != "newer" {
			t.Errorf("the late answer became the token: %q", tok.Reveal())
		}
	})
}

func TestIssuer_LateAnswerIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		var calls atomic.Int64
		src := newSource(t, issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
			calls.Add(1)
			<-hang
			return opaque("late", 0), nil
		}))
		wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout)
		close(hang)
		synctest.Wait()
		wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout)
		if calls.Load() != 1 {
			t.Errorf("the issuer was asked %d times, want 1", calls.Load())
		}
	})
}

func TestIssuer_AskingItsOwnSourceFails(t *testing.T) {
	one, other := acct(t, 1), acct(t, 2)
	for name, ask := range map[string]func(context.Context, *tokensource.Source) error{
		"the same account": func(ctx context.Context, src *tokensource.Source) error {
			_, err := src.Token(ctx, one)
			return err
		},
		"another account": func(ctx context.Context, src *tokensource.Source) error {
			_, err := src.Token(ctx, other)
			return err
		},
		"through a handle": func(ctx context.Context, src *tokensource.Source) error {
			_, err := src.ForAccount(one).Token(ctx)
			return err
		},
		"in a derived context": func(ctx context.Context, src *tokensource.Source) error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			_, err := src.Token(ctx, one)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var src *tokensource.Source
				src = newSource(t, issuerFunc(func(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
					return opaque("x", 0), ask(ctx, src)
				}))
				start := time.Now()
				wantNoToken(t, src, one, tokensource.ErrMisconfigured)
				between(t, "the wait", time.Since(start), 0, 0)
			})
		})
	}
}

func TestIssuer_MayAskAnotherSource(t *testing.T) {
	inner := newSource(t, &fakeIssuer{})
	outer := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
		tok, err := inner.Token(ctx, account)
		if err != nil {
			return tokensource.Grant{}, err
		}
		return opaque("exchanged-"+tok.Reveal(), 0), nil
	}))
	if tok := token(t, outer, acct(t, 1)); !strings.HasPrefix(tok.Reveal(), "exchanged-") {
		t.Errorf("got the token %q, want an exchanged token", tok.Reveal())
	}
}
