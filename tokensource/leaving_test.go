// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestToken_CanceledCallerStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := src.Token(ctx, acct(t, 1))
		wantKind(t, err, tokensource.ErrCanceled)
		synctest.Wait()
		wantAsked(t, d, 0)

		first := token(t, src, acct(t, 1))
		_, err = src.Renew(ctx, first)
		wantKind(t, err, tokensource.ErrCanceled)
		synctest.Wait()
		wantAsked(t, d, 1)

		time.Sleep(500 * time.Second) // The token is stale.
		if tok, err := src.Token(ctx, acct(t, 1)); tok != first || err != nil {
			t.Errorf("got %v, %v, want the current token", tok, err)
		}
		synctest.Wait()
		wantAsked(t, d, 1)
		for range 3 { // The budget is still full.
			first = renew(t, src, first)
		}
	})
}

// context.Canceled means that the caller has left, and a proxy then sends no
// response. A cancellation elsewhere must not match context.Canceled.
func TestError_CanceledIsTheCallersOwn(t *testing.T) {
	foreign := map[string]error{
		"bare":         context.Canceled,
		"wrapped":      fmt.Errorf("vault: %w", context.Canceled),
		"in an Error":  tokensource.NewError(tokensource.ErrUnavailable, fmt.Errorf("post: %w", context.Canceled)),
		"as its kind":  tokensource.NewError(tokensource.ErrCanceled, context.Canceled),
		"joined":       errors.Join(errors.New("a"), context.Canceled),
		"explained":    tokensource.NewError(tokensource.ErrUnavailable, tokensource.SafeError("the vault is sealed", context.Canceled)),
		"around Error": fmt.Errorf("wrapped: %w", tokensource.NewError(tokensource.ErrUnavailable, context.Canceled)),
	}
	for name, err := range foreign {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				err := wantNoToken(t, newSource(t, failing(err)), acct(t, 1), tokensource.ErrUnavailable)
				if errors.Is(err, context.Canceled) || errors.Is(err, tokensource.ErrCanceled) {
					t.Errorf("%v matches context.Canceled, although the caller has not left", err)
				}
			})
		})
	}
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{latency: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := src.Token(ctx, acct(t, 1))
		if wantKind(t, err, tokensource.ErrCanceled); !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
	})
}

func TestHasAnyToken_FalseAfterInvalidate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		if src.HasAnyToken() {
			t.Error("HasAnyToken is true without a token")
		}
		token(t, src, acct(t, 1))
		src.Invalidate(acct(t, 1))
		if src.HasAnyToken() || src.Status().Tokens != 0 {
			t.Error("HasAnyToken is true although the only token was invalidated")
		}
		second := token(t, src, acct(t, 1))
		refuse(second, 3)
		if src.HasAnyToken() {
			t.Error("HasAnyToken is true although the only token is refused everywhere")
		}

	})
}

// A refused token still serves while it is being renewed.
func TestHasAnyToken_TrueDuringARenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: time.Second}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		go func() { _, _ = src.Renew(context.Background(), first) }()
		synctest.Wait()
		if !src.HasAnyToken() {
			t.Error("HasAnyToken is false during a renewal")
		}
	})
}

func TestRenew_OverloadCostsNoBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var hangs atomic.Bool
		d := &fakeIssuer{}
		src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			if hangs.Load() {
				<-ctx.Done()
				return tokensource.Grant{}, ctx.Err()
			}
			return d.Issue(ctx, account)
		}), maxIssuances(1))
		tok := token(t, src, acct(t, 1))
		hangs.Store(true)
		for i := range 1 + 64 { // One has the slot, and 64 wait.
			go func() { _, _ = src.Token(context.Background(), acct(t, 100+i)) }()
			synctest.Wait()
		}
		for range 10 {
			wantNotRenewed(t, src, tok, tokensource.ErrOverloaded)
		}
		hangs.Store(false)
		time.Sleep(time.Minute)
		for range 3 {
			tok = renew(t, src, tok)
		}
	})
}
