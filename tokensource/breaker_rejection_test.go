// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// rejected is Passport's answer to a wrong secret and to an unknown account.
var rejected = failure(tokensource.ErrAccountRejected, 401, 0)

// A wrong secret must be reported as such, to the callers and to the hooks,
// however many accounts a program uses.
func TestBreaker_NamesWrongCredentials(t *testing.T) {
	for name, before := range map[string]func(*fakeIssuer, *tokensource.Source, []tokensource.Account){
		"from the beginning": func(*fakeIssuer, *tokensource.Source, []tokensource.Account) {},
		"when they expire": func(_ *fakeIssuer, src *tokensource.Source, accounts []tokensource.Account) {
			for range 2 {
				for _, account := range accounts {
					_, _ = src.Token(context.Background(), account)
				}
				time.Sleep(lifetime)
			}
		},
	} {
		for _, n := range []int{1, 2, 3, 50} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var mu sync.Mutex
					var kinds []tokensource.ErrorKind
					hooks := tokensource.Hooks{Issue: func(ctx, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
						return ctx, func(result tokensource.IssueResult) {
							mu.Lock()
							defer mu.Unlock()
							if err, ok := result.Err.(*tokensource.Error); ok {
								kinds = append(kinds, err.Kind)
							}
						}
					}}
					d := &fakeIssuer{}
					src := newSource(t, d, func(c *tokensource.Config) { c.Hooks = hooks })
					accounts := accts(t, n)
					before(d, src, accounts)
					d.fail(rejected)
					var last error
					for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(100 * time.Millisecond) {
						for _, account := range accounts {
							_, last = src.Token(t.Context(), account)
						}
					}
					wantKind(t, last, tokensource.ErrCredentialsRejected)
					first := slices.Index(kinds, tokensource.ErrCredentialsRejected)
					if first < 0 || first > 3*n || slices.Contains(kinds[first+3:], tokensource.ErrAccountRejected) {
						t.Errorf("%d accounts: the hooks got the kinds %q", n, kinds)
					}
					if len(kinds) > 12*n {
						t.Errorf("%d accounts: got %d issuances, want %d at most", n, len(kinds), 12*n)
					}
				})
			})
		}
	}
}

// A wrong secret that replaces a correct secret is reported as such, although
// some accounts had tokens with the old secret.
func TestBreaker_NamesWrongNewCredentials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		issuer := revise(d, "right")
		src := newSource(t, issuer)
		for _, account := range accts(t, 50) {
			token(t, src, account)
		}
		d.fail(rejected)
		wrong := "wrong"
		issuer.revision.Store(&wrong)
		for i := range 2 {
			wantNoToken(t, src, acct(t, 1+i), tokensource.ErrAccountRejected)
		}
		wantNoToken(t, src, acct(t, 3), tokensource.ErrCredentialsRejected)
	})
	bubble(t, func(t *testing.T) { // One account of many is in use.
		d := &fakeIssuer{}
		issuer := revise(d, "right")
		src := newSource(t, issuer)
		for _, account := range accts(t, 50) {
			token(t, src, account)
		}
		d.fail(rejected)
		wrong := "wrong"
		issuer.revision.Store(&wrong)
		for range 2 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrAccountRejected)
			time.Sleep(time.Minute)
		}
		wantNoToken(t, src, acct(t, 1), tokensource.ErrCredentialsRejected)
	})
}

// A failure counts in the same way whether its issuance began before or after
// the breaker opened.
func TestBreaker_NamesLateRejections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		d.fail(rejected)
		src := newSource(t, d)
		for i, g := range together(16, time.Millisecond, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), acct(t, 1+i))
		}) {
			want := tokensource.ErrCredentialsRejected
			if i < 2 {
				want = tokensource.ErrAccountRejected
			}
			wantKind(t, g.err, want)
		}
	})
}

// With new credentials all accounts issue at once, without a probe.
func TestBreaker_ClosesForNewCredentials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		issuer := revise(d, "wrong")
		src := newSource(t, issuer)
		openBreaker(t, d, src, tokensource.NewError(tokensource.ErrCredentialsRejected, nil))
		d.fail(nil)
		right := "right"
		issuer.revision.Store(&right)
		time.Sleep(time.Second)
		for _, g := range together(10, 0, func(i int) (*tokensource.Token, error) {
			if i > 0 {
				time.Sleep(time.Millisecond) // The first issuance reads the revision.
			}
			return src.Token(t.Context(), acct(t, 2+i))
		}) {
			if g.err != nil {
				t.Errorf("got error %v, want a token", g.err)
			}
		}
	})
}

// A client that makes up account ids must not stop the tokens of others.
func TestBreaker_IgnoresMadeUpAccounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		real := accts(t, 3)
		token(t, src, real[0])
		d.refuseIf(func(account tokensource.Account) error {
			if !slices.Contains(real, account) {
				return rejected
			}
			return nil
		})
		for i := range 1000 {
			wantNoToken(t, src, acct(t, 1_000_000+i), tokensource.ErrAccountRejected)
			if i%10 == 0 {
				time.Sleep(time.Second)
			}
		}
		token(t, src, real[1])
		token(t, src, real[2])
	})
}

// The rejection of a closed account is permanent. It says nothing about other
// accounts.
func TestBreaker_KeepsAClosedAccountApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		token(t, src, acct(t, 1))
		token(t, src, acct(t, 2))
		time.Sleep(lifetime)
		d.fail(rejected)
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrAccountRejected)
			time.Sleep(time.Minute)
		}
		d.fail(nil)
		token(t, src, acct(t, 2))
	})
}

// Failures of different kinds do not add up: an endpoint that rejects an
// account is not down.
func TestBreaker_CountsOneSortOfFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		d.fail(failure(tokensource.ErrRateLimited, 429, 0))
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrRateLimited)
		d.fail(rejected)
		wantNoToken(t, src, acct(t, 3), tokensource.ErrAccountRejected)
		d.fail(nil)
		token(t, src, acct(t, 4))
	})
}

// An endpoint hangs for one account and rejects other accounts. Two issuances
// must not run at once for one account, and an older token must not replace a
// newer token.
func TestBreaker_IssuesForTheCallersAccount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		granted := acct(t, 1)
		first := token(t, src, granted)
		openBreaker(t, d, src, errDown)
		time.Sleep(time.Second)
		d.fail(nil)
		token(t, src, acct(t, 2))
		if n := d.askedFor(granted); n != 1 {
			t.Errorf("the probe of another account requested %d tokens for this account", n)
		}
		if token(t, src, granted) != first {
			t.Error("the probe of another account replaced the token of this account")
		}
	})
}

// An issuance waited long for a slot, and its call had little time left. The
// timeout of that call says nothing about the endpoint. The timeout of a call
// that had most of its time does.
func TestBreaker_DiscountsCallsCutShort(t *testing.T) {
	for queued, want := range map[time.Duration]tokensource.ErrorKind{
		4900 * time.Millisecond: tokensource.ErrTimeout,
		5100 * time.Millisecond: tokensource.ErrOverloaded,
	} {
		t.Run(queued.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				before := acct(t, 1)
				src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
					if account == before {
						time.Sleep(queued)
						return opaque("x", 0), nil
					}
					<-ctx.Done()
					return tokensource.Grant{}, ctx.Err()
				}), maxIssuances(1))
				go func() { _, _ = src.Token(context.Background(), before) }()
				synctest.Wait()
				wantNoToken(t, src, acct(t, 2), want)
			})
		})
	}
}

// Health checks request the token of the organization. They must not open the
// breaker for the accounts, and must not use the permit of the probe.
func TestContextWithHealthCheck_IsNotCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		check := func() error {
			_, err := src.Token(tokensource.ContextWithHealthCheck(t.Context()), tokensource.Organization())
			return err
		}
		d.fail(tokensource.NewError(tokensource.ErrCredentialsRejected, nil))
		for range 10 {
			wantKind(t, check(), tokensource.ErrCredentialsRejected)
			time.Sleep(time.Minute)
		}
		d.fail(nil)
		token(t, src, acct(t, 1))

		d.fail(errDown)
		for i := range 3 {
			_, err := src.Token(tokensource.ContextWithHealthCheck(t.Context()), acct(t, 800+i))
			wantKind(t, err, tokensource.ErrUnavailable)
		}
		d.fail(nil)
		token(t, src, acct(t, 3)) // The failed health checks did not open the breaker.

		openBreaker(t, d, src, errDown)
		time.Sleep(time.Second)
		asked := d.asked()
		if e := wantKind(t, check(), tokensource.ErrUnavailable); !e.Suppressed || e.RetryAfter <= 0 {
			t.Errorf("a health check is the probe: %v", e)
		}
		wantAsked(t, d, asked)
		d.fail(nil)
		token(t, src, acct(t, 2)) // A user's request is the probe.
		if err := check(); err != nil {
			t.Error(err)
		}
	})
}
