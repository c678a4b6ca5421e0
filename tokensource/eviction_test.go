// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func maxAccounts(n int) func(*tokensource.Config) {
	return func(c *tokensource.Config) { c.MaxAccounts = n }
}

func TestMaxAccounts_BoundsTheAccounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d, maxAccounts(100))
		for _, account := range accts(t, 1000) {
			token(t, src, account)
			if src.Status().Accounts > 100 {
				t.Fatalf("%d accounts are kept", src.Status().Accounts)
			}
		}
	})
}

func TestMaxAccounts_HoldsAgainAfterARush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d, maxAccounts(10))
		accounts := accts(t, 500)
		together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), accounts[i]) // No account can be evicted now.
		})
		token(t, src, acct(t, 1))
		if src.Status().Accounts > 10 {
			t.Errorf("%d accounts are kept", src.Status().Accounts)
		}
	})
}

func TestEviction_KeepsAccountsInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{lifetime: time.Hour}
		src := newSource(t, d, maxAccounts(100))
		hot := accts(t, 20)
		for i := range 400 {
			for _, account := range hot {
				token(t, src, account)
			}
			time.Sleep(2 * time.Second)
			token(t, src, acct(t, 5000+i))
		}
		if again := d.asked() - 400 - len(hot); again > 4 {
			t.Errorf("accounts in use were issued %d tokens more than they needed", again)
		}
	})
}

// A client with made-up account numbers evicts few accounts that have a token.
// At most one account in eight is evicted, because an eviction looks at eight
// entries.
func TestEviction_BeginsWithoutTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{lifetime: time.Hour}
		known := accts(t, 50)
		src := newSource(t, d, maxAccounts(100))
		for _, account := range known {
			token(t, src, account)
		}
		d.fail(failure(tokensource.ErrAccountRejected, 401, 0))
		for i := range 1000 {
			_, _ = src.Token(t.Context(), acct(t, 5000+i))
			time.Sleep(200 * time.Millisecond)
		}
		lost := 0
		for _, account := range known {
			if _, err := src.Token(t.Context(), account); err != nil {
				lost++
			}
		}
		if lost > len(known)/8+1 {
			t.Errorf("%d of %d accounts lost their token to made-up ones", lost, len(known))
		}
	})
}

func TestEviction_DropsIdleAccounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{lifetime: time.Hour})
		for _, account := range accts(t, 8) {
			token(t, src, account)
		}
		time.Sleep(15*time.Minute - 2*time.Second)
		token(t, src, acct(t, 1))
		if src.Status().Accounts != 9 {
			t.Errorf("%d accounts are kept, want 9", src.Status().Accounts)
		}
		time.Sleep(2 * time.Second)
		token(t, src, acct(t, 2))
		if src.Status().Accounts > 3 {
			t.Errorf("%d accounts are kept after 15 idle minutes, want the 2 in use and one more at most", src.Status().Accounts)
		}
	})
}

func TestEviction_AccountSourceSurvives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 10 * time.Millisecond, lifetime: time.Hour}
		src := newSource(t, d, maxAccounts(1))
		one := src.ForAccount(acct(t, 1))
		first, err := one.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		token(t, src, acct(t, 2)) // Evicts the first account.

		all := together(100, 0, func(i int) (*tokensource.Token, error) {
			if i%2 == 0 {
				return one.Token(t.Context())
			}
			return src.Token(t.Context(), acct(t, 1))
		})
		got := serials(t, all)
		if len(got) != 1 || all[0].token == first {
			t.Errorf("the callers got the tokens %d, want one new token", got)
		}
		wantAsked(t, d, 3)
		if tok, err := one.Token(t.Context()); tok != all[0].token || err != nil {
			t.Errorf("the handle returns %v, %v", tok, err)
		}
		if tok := renew(t, src, first); tok != all[0].token {
			t.Errorf("the evicted token is renewed with %v", tok)
		}
	})
}

func TestEviction_SparesRunningIssuances(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d, maxAccounts(1))
		together(10, 20*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i%2 == 0 {
				return src.Token(t.Context(), acct(t, 1))
			}
			return src.Token(t.Context(), acct(t, 100+i))
		})
		if n := d.askedFor(acct(t, 1)); n > 2 {
			t.Errorf("%d tokens were issued for an account within 200 ms", n)
		}
	})
}

// The test evicts and reloads one account again and again on real threads. It
// detects races, deadlocks, and two issuances at once.
func TestEviction_OneIssuanceAtATime(t *testing.T) {
	accounts := accts(t, 16)
	var atWork sync.Map // of Account to *atomic.Int64
	for _, account := range accounts {
		atWork.Store(account, new(atomic.Int64))
	}
	src := newSource(t, issuerFunc(func(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
		n, _ := atWork.Load(account)
		if n.(*atomic.Int64).Add(1) > 1 {
			t.Error("two tokens are issued for one account at once")
		}
		defer n.(*atomic.Int64).Add(-1)
		runtime.Gosched()
		return opaque(tokenFor(account), time.Hour), nil
	}), maxAccounts(4))
	together(16, 0, func(i int) (*tokensource.Token, error) {
		one := src.ForAccount(accounts[i])
		for n := range 500 {
			ctx, cancel := context.WithCancel(t.Context())
			if n%7 == 0 {
				cancel()
			}
			account := accounts[(i*n)%len(accounts)]
			tok, err := src.Token(ctx, account)
			if err == nil && n%3 == 0 {
				_, _ = src.Renew(ctx, tok)
				src.RenewInBackground(ctx, tok)
			}
			_, _ = one.Token(ctx)
			cancel()
			if err == nil && (tok.Account() != account || tok.Reveal() != tokenFor(account)) {
				t.Errorf("got a token of %q for %q", tok.Account().ID(), account.ID())
			}
			if err != nil && !errors.Is(err, tokensource.ErrCanceled) {
				t.Errorf("got error %v, want none or canceled", err)
			}
		}
		return nil, nil
	})
}

func TestEviction_CallerStartsAgain(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	one, other := acct(t, 1), acct(t, 2)
	src.PlantEvicted(one)
	answered := make(chan *tokensource.Token, 1)
	go func() {
		tok, _ := src.Token(t.Context(), one)
		answered <- tok
	}()
	for range 30 {
		if runtime.Gosched(); len(answered) > 0 {
			t.Fatal("a token was stored in an evicted entry")
		}
	}
	token(t, src, other) // Ends the eviction.
	if tok := <-answered; tok == nil || token(t, src, one) != tok {
		t.Errorf("got %v, which is not kept", tok)
	}
	wantAsked(t, d, 2)
}
