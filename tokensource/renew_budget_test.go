// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestRenew_DrawsOnABudget(t *testing.T) {
	for name, life := range map[string]time.Duration{"600 s": 600 * time.Second, "6 s": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{lifetime: life}
				src := newSource(t, d)
				tok := token(t, src, acct(t, 1))
				for range 3 {
					tok = renew(t, src, tok)
				}
				err := wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)
				refill := life / 60
				between(t, "RetryAfter", err.RetryAfter, refill, refill)
				if token(t, src, acct(t, 1)) != tok {
					t.Error("the token is out of service")
				}
				wantAsked(t, d, 4)

				// Each sixtieth of the lifetime adds one renewal to the budget.
				time.Sleep(refill - time.Nanosecond)
				err = wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)
				between(t, "RetryAfter", err.RetryAfter, time.Nanosecond, time.Nanosecond)
				time.Sleep(err.RetryAfter)
				tok = renew(t, src, tok)
				wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)

				time.Sleep(time.Hour) // The budget holds three at most.
				tok = token(t, src, acct(t, 1))
				for range 3 {
					tok = renew(t, src, tok)
				}
				wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)
			})
		})
	}
}

func TestRenew_BudgetIsPerAccount(t *testing.T) {
	src := newSource(t, &fakeIssuer{})
	tok := token(t, src, acct(t, 1))
	for range 3 {
		tok = renew(t, src, tok)
	}
	wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)
	renew(t, src, token(t, src, acct(t, 2)))
}

// The endpoint answers 401 to every token.
func TestRenew_EndlessRefusalsCostLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 10 * time.Millisecond}
		src := newSource(t, d)
		start := time.Now()
		for range 1000 {
			_, _ = src.Renew(t.Context(), token(t, src, acct(t, 1)))
		}
		if d.asked() > 4 {
			t.Errorf("1,000 refusals in a row caused %d issuances", d.asked())
		}
		for time.Since(start) < time.Hour {
			_, _ = src.Renew(t.Context(), token(t, src, acct(t, 1)))
			time.Sleep(time.Second)
		}
		// The budget allows at most six issuances per minute.
		if most := 4 + 360; d.asked() > most {
			t.Errorf("an hour of refusals caused %d issuances, want at most %d", d.asked(), most)
		}
	})
}

func TestRenewInBackground_DrawsOnTheBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		for range 100 {
			src.RenewInBackground(t.Context(), token(t, src, acct(t, 1)))
			synctest.Wait()
		}
		wantAsked(t, d, 4)
		wantNotRenewed(t, src, token(t, src, acct(t, 1)), tokensource.ErrRenewalLimited)
	})
}

func TestRenew_FailureCostsTheBudgetOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		tok := token(t, src, acct(t, 1))
		d.fail(errDown)
		for range 10 { // One issuance fails, and the other calls meet the cooldown.
			wantNotRenewed(t, src, tok, tokensource.ErrUnavailable)
		}
		d.fail(nil)
		time.Sleep(time.Second)
		tok = renew(t, src, tok)
		tok = renew(t, src, tok)
		wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)
	})
}
