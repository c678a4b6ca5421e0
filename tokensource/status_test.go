// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestInvalidate_ReissuesOneAccount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		first, other := token(t, src, acct(t, 1)), token(t, src, acct(t, 2))
		one := src.ForAccount(acct(t, 1))
		if again, err := one.Token(t.Context()); err != nil || again != first {
			t.Fatalf("got %v, error %v, want %v", again, err, first)
		}
		src.Invalidate(acct(t, 1))
		src.Invalidate(acct(t, 3)) // The account has no token.
		if again, err := one.Token(t.Context()); err != nil || again == first {
			t.Errorf("got %v, error %v after its invalidation, want a new token", again, err)
		}
		if again := token(t, src, acct(t, 2)); again != other {
			t.Errorf("another account's token was replaced by %v", again)
		}
		wantAsked(t, d, 3)
	})
}

func TestInvalidate_EndsTheCooldown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(errDown)
		src := newSource(t, d)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		d.fail(nil)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		src.Invalidate(acct(t, 1))
		token(t, src, acct(t, 1))
	})
}

func TestInvalidateAll_ClosesTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		before := token(t, src, acct(t, 1))
		d.fail(errDown)
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrUnavailable)
		d.fail(nil)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrUnavailable)
		src.InvalidateAll()
		if src.HasAnyToken() {
			t.Error("the status counts a token that the Source no longer returns")
		}
		token(t, src, acct(t, 2))
		if after := token(t, src, acct(t, 1)); after == before {
			t.Error("the status counts an expired token")
		}
	})
}

func TestInvalidate_KeepsARunningIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: time.Second}
		src := newSource(t, d)
		go func() {
			time.Sleep(time.Second / 2)
			src.Invalidate(acct(t, 1))
		}()
		first := token(t, src, acct(t, 1))
		if again := token(t, src, acct(t, 1)); again != first {
			t.Errorf("got %v, want %v", again, first)
		}
		wantAsked(t, d, 1)
	})
}

func TestStatus_DescribesTheSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		if got := src.Status(); got != (tokensource.Status{}) {
			t.Errorf("a new Source is %+v", got)
		}
		first := token(t, src, acct(t, 1))
		time.Sleep(time.Minute)
		token(t, src, acct(t, 2))
		d.fail(errDown)
		wantNoToken(t, src, acct(t, 3), tokensource.ErrUnavailable)
		got := src.Status()
		if got.Accounts != 3 || got.Tokens != 2 || got.CoolingDown != 1 || !got.NextExpiry.Equal(first.Expiry()) || !got.BreakerOpenUntil.IsZero() || got.BreakerCause != "" {
			t.Errorf("the status is %+v", got)
		}
		d.fail(failure(tokensource.ErrRateLimited, 429, 40*time.Second))
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrRateLimited)
		got = src.Status()
		if until := time.Until(got.BreakerOpenUntil); until != 40*time.Second || got.BreakerCause != tokensource.ErrRateLimited {
			t.Errorf("the breaker is open for %s because of %q", until, got.BreakerCause)
		}
	})
}

func TestStatus_CountsCooldowns(t *testing.T) {
	want := func(src *tokensource.Source, what string, accounts int, all bool) {
		t.Helper()
		status := src.Status()
		if open := !status.BreakerOpenUntil.IsZero(); status.CoolingDown != accounts || open != all {
			t.Errorf("%s: %d accounts are in cooldown, all is %v; want %d and %v", what, status.CoolingDown, open, accounts, all)
		}
	}
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		token(t, src, acct(t, 7))
		want(src, "all is well", 0, false)
		d.fail(errDown)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		want(src, "one account has failed", 1, false)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrUnavailable)
		wantNoToken(t, src, acct(t, 3), tokensource.ErrUnavailable)
		want(src, "three have", 3, true)
		time.Sleep(time.Minute)
		want(src, "time has passed", 0, false)
	})
}
