// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// openBreaker makes three accounts fail with err, which opens the breaker. The
// three accounts appear nowhere else in the test.
func openBreaker(t *testing.T, d *fakeIssuer, src *tokensource.Source, err *tokensource.Error) {
	t.Helper()
	d.fail(err)
	for i := range 2 {
		wantNoToken(t, src, acct(t, 900+i), err.Kind)
	}
	opened := err.Kind
	if opened == tokensource.ErrAccountRejected {
		opened = tokensource.ErrCredentialsRejected // Three accounts are rejected.
	}
	wantNoToken(t, src, acct(t, 902), opened)
}

func TestBreaker_TwoFailuresKeepItClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		d.fail(failure(tokensource.ErrAccountRejected, 401, 0))
		for i := range 5 { // However often they fail.
			kind := tokensource.ErrAccountRejected
			if i >= 2 { // No account ever had a token: see TestBreaker_NamesWrongCredentials.
				kind = tokensource.ErrCredentialsRejected
			}
			wantNoToken(t, src, acct(t, 1), kind)
			wantNoToken(t, src, acct(t, 2), kind)
			time.Sleep(time.Minute)
		}
		d.fail(nil)
		token(t, src, acct(t, 3))
	})
}

func TestBreaker_ThreeAccountsOpenIt(t *testing.T) {
	for _, tt := range []struct{ kind, closed tokensource.ErrorKind }{
		{tokensource.ErrUnavailable, tokensource.ErrUnavailable},
		{tokensource.ErrRateLimited, tokensource.ErrRateLimited},
		{tokensource.ErrTimeout, tokensource.ErrTimeout},
		{tokensource.ErrMalformedResponse, tokensource.ErrMalformedResponse},
		{tokensource.ErrCredentialsRejected, tokensource.ErrCredentialsRejected},
		// A 401 for one account can mean that the account is wrong. A 401 for three
		// accounts means that the credentials are wrong.
		{tokensource.ErrAccountRejected, tokensource.ErrCredentialsRejected},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
				src := newSource(t, d)
				openBreaker(t, d, src, failure(tt.kind, 418, 0))
				asked := d.asked()
				for i := range 10 {
					err := wantNoToken(t, src, acct(t, 1+i), tt.closed)
					between(t, "RetryAfter", err.RetryAfter, time.Nanosecond, time.Second)
					if err.StatusCode != 418 {
						t.Errorf("the status is %d, want 418", err.StatusCode)
					}
				}
				wantNoToken(t, src, tokensource.Organization(), tt.closed)
				wantAsked(t, d, asked)
			})
		})
	}
}

func TestBreaker_SuccessRestartsTheCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		bad := failure(tokensource.ErrAccountRejected, 401, 0)
		for i := range 10 {
			d.fail(bad)
			wantNoToken(t, src, acct(t, 100+2*i), tokensource.ErrAccountRejected)
			wantNoToken(t, src, acct(t, 101+2*i), tokensource.ErrAccountRejected)
			d.fail(nil)
			token(t, src, acct(t, 1+i))
		}
	})
}

func TestBreaker_OrganizationOpensItAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		d.fail(failure(tokensource.ErrAccountRejected, 401, 0))
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrCredentialsRejected)
		wantAsked(t, d, 1)
	})
}

// Health checks and readiness probes ask for the organization's token. Some
// keys are not valid for the organization.
func TestBreaker_OrganizationAfterSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		token(t, src, acct(t, 1))
		d.fail(tokensource.NewError(tokensource.ErrCredentialsRejected, nil))
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
		d.fail(nil)
		token(t, src, acct(t, 2))
		d.fail(errDown)
		time.Sleep(time.Minute)
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrUnavailable)
		if e := wantNoToken(t, src, acct(t, 3), tokensource.ErrUnavailable); !e.Suppressed {
			t.Error("an outage for the organization did not open the breaker for accounts")
		}
	})
}

func TestBreaker_IgnoresMisconfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		openBreaker(t, d, src, tokensource.NewError(tokensource.ErrMisconfigured, nil))
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrMisconfigured)
		d.fail(nil)
		token(t, src, acct(t, 1))
	})
}

func TestBreaker_OpenKeepsServingTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		time.Sleep(500 * time.Second) // The token is stale.
		openBreaker(t, d, src, errDown)
		asked := d.asked()
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is not served")
		}
		synctest.Wait()
		wantAsked(t, d, asked)
	})
}

func TestBreaker_CooldownDoubles(t *testing.T) {
	for kind, want := range map[tokensource.ErrorKind][]time.Duration{
		tokensource.ErrUnavailable:         {1, 2, 4, 8, 16, 30, 30},
		tokensource.ErrCredentialsRejected: {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300},
	} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
				src := newSource(t, d)
				openBreaker(t, d, src, failure(kind, 0, 0))
				for i, full := range want {
					full *= time.Second
					err := wantNoToken(t, src, acct(t, 1+i), kind)
					between(t, "RetryAfter", err.RetryAfter, full/2, full)
					asked := d.asked()
					time.Sleep(err.RetryAfter - time.Nanosecond)
					wantNoToken(t, src, acct(t, 50+i), kind)
					wantAsked(t, d, asked)
					time.Sleep(time.Nanosecond)
					wantNoToken(t, src, acct(t, 50+i), kind) // The probe.
					wantAsked(t, d, asked+1)
				}
			})
		})
	}
}

func TestBreaker_HonoursRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		openBreaker(t, d, src, failure(tokensource.ErrRateLimited, 429, time.Hour))
		err := wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		between(t, "RetryAfter", err.RetryAfter, time.Minute, time.Minute)
	})
}

// Sixteen issuances have failed once and wait for their second attempt. When
// three of them have failed twice, the others make no second attempt.
func TestBreaker_OpenStopsSecondAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(errDown)
		src := newSource(t, d)
		for _, g := range together(16, 0, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), acct(t, 1+i))
		}) {
			wantKind(t, g.err, tokensource.ErrUnavailable)
		}
		wantAsked(t, d, 16+3)
	})
}

// Sixteen issuances are running when the third fails. The failures of the other
// thirteen do not extend the cooldown.
func TestBreaker_LateFailuresDoNotProlong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		d.fail(failure(tokensource.ErrCredentialsRejected, 401, 0))
		src := newSource(t, d)
		all := together(16, time.Millisecond, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), acct(t, 1+i))
		})
		wantAsked(t, d, 16)
		for _, g := range all {
			wantKind(t, g.err, tokensource.ErrCredentialsRejected)
		}
		err := wantNoToken(t, src, acct(t, 99), tokensource.ErrCredentialsRejected)
		between(t, "RetryAfter", err.RetryAfter, 1, time.Second)
	})
}

func TestBreaker_EarlierSuccessClosesIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		slow := acct(t, 1)
		src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			if account == slow {
				time.Sleep(100 * time.Millisecond)
				return opaque("slow", 0), nil
			}
			return d.Issue(ctx, account)
		}))
		together(2, time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 1 {
				openBreaker(t, d, src, failure(tokensource.ErrAccountRejected, 401, 0))
				return nil, nil
			}
			return src.Token(t.Context(), slow)
		})
		d.fail(nil)
		token(t, src, acct(t, 2))
	})
}

func TestBreaker_ThousandColdAccounts(t *testing.T) {
	for name, latency := range map[string]time.Duration{
		"refused at once": 0, "after 10 ms": 10 * time.Millisecond, "after 200 ms": 200 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: latency}
				d.fail(errDown)
				src := newSource(t, d)
				accounts := accts(t, 1000)
				start := time.Now()
				for time.Since(start) < time.Second {
					for _, g := range together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
						return src.Token(t.Context(), accounts[i])
					}) {
						if g.err == nil {
							t.Fatal("a caller got a token")
						}
					}
					time.Sleep(100 * time.Millisecond)
				}
				if n := d.askedBetween(start, start.Add(time.Second)); n > 40 {
					t.Errorf("in a second, the issuer was asked %d times, want at most 40", n)
				}
			})
		})
	}
}

func TestBreaker_RetryAfterIsTheRealWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		d.fail(tokensource.NewError(tokensource.ErrCredentialsRejected, nil))
		for range 10 {
			failed := wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
			suppressed := wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
			if failed.Suppressed || !suppressed.Suppressed || failed.RetryAfter != suppressed.RetryAfter {
				t.Fatalf("the failed caller got RetryAfter %v, the next caller %v", failed.RetryAfter, suppressed.RetryAfter)
			}
			time.Sleep(failed.RetryAfter)
		}
	})
}
