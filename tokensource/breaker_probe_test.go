// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"slices"
)

// A rejection is an answer: an endpoint that rejects an account is not down.
func TestBreaker_ClosesWhenTheEndpointRejects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		token(t, src, acct(t, 1))
		openBreaker(t, d, src, errDown)
		time.Sleep(time.Second)
		d.refuseIf(func(account tokensource.Account) error {
			if account == acct(t, 666) {
				return rejected
			}
			return nil
		})
		wantNoToken(t, src, acct(t, 666), tokensource.ErrAccountRejected)
		token(t, src, acct(t, 2))
	})
}

// While the credentials are rejected, requests for made-up accounts do not
// close the breaker and do not extend its cooldown.
func TestBreaker_MadeUpProbeChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		real := accts(t, 3)
		for _, account := range real {
			token(t, src, account)
		}
		time.Sleep(lifetime)
		d.fail(rejected)
		for i, account := range real {
			kind := tokensource.ErrAccountRejected
			if i == 2 {
				kind = tokensource.ErrCredentialsRejected
			}
			wantNoToken(t, src, account, kind)
		}
		for i := range 5 {
			time.Sleep(time.Second)
			wantNoToken(t, src, acct(t, 1+i), tokensource.ErrAccountRejected)
			if e := wantNoToken(t, src, acct(t, 100+i), tokensource.ErrCredentialsRejected); !e.Suppressed {
				t.Error("a made-up account has closed the breaker")
			}
		}
		time.Sleep(time.Second)
		d.fail(nil)
		token(t, src, real[0])
	})
}

// A permit from before the breaker opened is not the permit of the probe.
func TestBreaker_OnlyTheProbeEndsTheProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		early, probe := acct(t, 1), acct(t, 2)
		src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			switch account {
			case early: // Began before the breaker opened, ends during the probe.
				time.Sleep(2 * time.Second)
				return tokensource.Grant{}, tokensource.NewError(tokensource.ErrMisconfigured, nil)
			case probe:
				time.Sleep(3 * time.Second)
			}
			return d.Issue(ctx, account)
		}))
		go func() { _, _ = src.Token(context.Background(), early) }()
		synctest.Wait()
		openBreaker(t, d, src, failure(tokensource.ErrRateLimited, 429, time.Second))
		time.Sleep(1001 * time.Millisecond)
		go func() { _, _ = src.Token(context.Background(), probe) }()
		time.Sleep(1500 * time.Millisecond)
		if e := wantNoToken(t, src, acct(t, 3), tokensource.ErrRateLimited); !e.Suppressed {
			t.Error("a second probe began")
		}
	})
}

func TestBreaker_MisconfiguredProbeIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		openBreaker(t, d, src, errDown)
		time.Sleep(time.Second)
		d.fail(tokensource.NewError(tokensource.ErrMisconfigured, nil))
		wantNoToken(t, src, acct(t, 1), tokensource.ErrMisconfigured)
		d.fail(nil)
		token(t, src, acct(t, 2))
	})
}

func TestBreaker_HalfOpenAllowsOneIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d)
		openBreaker(t, d, src, failure(tokensource.ErrUnavailable, 503, 0))
		time.Sleep(time.Second)
		asked := d.asked()
		all := together(50, time.Millisecond, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), acct(t, 1+i))
		})
		for i, g := range all {
			err := wantKind(t, g.err, tokensource.ErrUnavailable)
			if err.Suppressed != (i > 0) {
				t.Errorf("caller %d: suppressed is %v, want %v", i, err.Suppressed, i > 0)
			}
			if i > 0 { // The other callers do not wait for the probe.
				between(t, "a caller's wait", g.waited, 0, 0)
				between(t, "RetryAfter", err.RetryAfter, time.Nanosecond, time.Second)
			}
		}
		wantAsked(t, d, asked+1)
	})
}

func TestBreaker_SuccessfulProbeClosesIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		openBreaker(t, d, src, errDown)
		d.fail(nil)
		time.Sleep(time.Second)
		for i := range 10 {
			token(t, src, acct(t, 1+i))
		}
	})
}

// Another issuance opens the breaker before the probe fails. The failure of the
// probe then counts as the failure of one account.
func TestBreaker_OvertakenProbeIsNotCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		early, probe := acct(t, 1), acct(t, 2)
		src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			switch account {
			case early: // Enters before the breaker opens, succeeds during the probe.
				time.Sleep(2 * time.Second)
				return opaque("early", 0), nil
			case probe:
				time.Sleep(3 * time.Second)
				return tokensource.Grant{}, failure(tokensource.ErrAccountRejected, 401, 0)
			default:
				return d.Issue(ctx, account)
			}
		}))
		together(3, time.Millisecond, func(i int) (*tokensource.Token, error) {
			switch i {
			case 0:
				token(t, src, early)
			case 1:
				openBreaker(t, d, src, failure(tokensource.ErrAccountRejected, 401, 0))
			case 2:
				time.Sleep(time.Second)
				wantNoToken(t, src, probe, tokensource.ErrAccountRejected)
			}
			return nil, nil
		})
		d.fail(nil)
		token(t, src, acct(t, 3))
	})
}

// Abandoned calls occupy all slots until the time of the probe is over.
func TestBreaker_LateProbeIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: time.Second}
		hang := make(chan struct{})
		hung := accts(t, 3)
		src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			if slices.Contains(hung, account) {
				<-hang
			}
			return d.Issue(ctx, account)
		}), maxIssuances(len(hung)))
		together(len(hung), 0, func(i int) (*tokensource.Token, error) { return src.Token(t.Context(), hung[i]) })
		if e := wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout); !e.Suppressed {
			t.Fatal("the Source is not in cooldown: the test proves nothing")
		}
		time.Sleep(2 * time.Second)
		time.AfterFunc(9500*time.Millisecond, func() { close(hang) })
		wantNoToken(t, src, acct(t, 1), tokensource.ErrOverloaded)
		if n := d.askedFor(acct(t, 1)); n != 1 {
			t.Fatalf("the issuer was asked %d times: the test proves nothing", n)
		}
		token(t, src, acct(t, 2))
	})
}
