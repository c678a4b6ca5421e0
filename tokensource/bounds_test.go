package tokensource_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func maxAccounts(n int) func(*tokensource.Config) {
	return func(c *tokensource.Config) { c.MaxAccounts = n }
}

func maxIssuances(n int) func(*tokensource.Config) {
	return func(c *tokensource.Config) { c.MaxIssuances = n }
}

func TestSlots_SixteenIssuancesAtOnce(t *testing.T) {
	for name, tt := range map[string]struct{ configured, want int }{
		"by default": {0, 16}, "configured": {3, 3}, "without limit": {math.MaxInt, 100},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &desk{latency: 100 * time.Millisecond}
				src := newSource(t, d, maxIssuances(tt.configured))
				accounts := accts(t, 100)
				all := together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
					return src.Token(t.Context(), accounts[i])
				})
				if got := serials(t, all); len(got) != len(accounts) {
					t.Errorf("%d accounts got %d tokens", len(accounts), len(got))
				}
				if d.most != tt.want {
					t.Errorf("%d issuances ran at once, want %d", d.most, tt.want)
				}
			})
		})
	}
}

func TestSlots_FullQueueIsOverloaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{latency: 100 * time.Millisecond}
		src := newSource(t, d, maxIssuances(1))
		accounts := accts(t, 1+64+1)
		served := make(chan error, len(accounts))
		for _, account := range accounts[:65] { // One at work, 64 waiting.
			go func() {
				_, err := src.Token(t.Context(), account)
				served <- err
			}()
			synctest.Wait()
		}
		start := time.Now()
		for range 100 {
			err := wantNoToken(t, src, accounts[65], tokensource.ErrOverloaded)
			if err.RetryAfter != 0 || err.Suppressed {
				t.Fatalf("RetryAfter is %v, suppressed is %v", err.RetryAfter, err.Suppressed)
			}
		}
		between(t, "the wait", time.Since(start), 0, 0)
		for range 65 {
			if err := <-served; err != nil {
				t.Errorf("one that waited got %v", err)
			}
		}
		token(t, src, accounts[65]) // It does not cool for that, nor does it count as waiting.
	})
}

func TestSlots_FullQueueKeepsTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		src := newSource(t, d, maxIssuances(1))
		first := token(t, src, acct(t, 1))
		time.Sleep(500 * time.Second)
		d.latency = 100 * time.Millisecond
		for _, account := range accts(t, 65) {
			go func() { _, _ = src.Token(t.Context(), account) }()
			synctest.Wait()
		}
		if token(t, src, acct(t, 1)) != first { // Stale, and cannot be renewed now.
			t.Error("the token is not served")
		}
		wantNotRenewed(t, src, first, tokensource.ErrOverloaded)
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is out of service")
		}
	})
}

func TestSlots_LongWaitIsOverloaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		hung := acct(t, 1)
		src := newSource(t, issuerFunc(func(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
			if account == hung {
				<-hang
			}
			return opaque("x", 0), nil
		}), maxIssuances(1))
		wantNoToken(t, src, hung, tokensource.ErrTimeout)

		// The issuer that was left behind still has its place: what ignores
		// its context must not be started over and over.
		start := time.Now()
		wantNoToken(t, src, acct(t, 2), tokensource.ErrOverloaded)
		between(t, "the wait", time.Since(start), 10*time.Second, 10*time.Second)
		close(hang)
		synctest.Wait()
		token(t, src, acct(t, 2))
	})
}

// A thousand accounts come at once, and a healthy endpoint takes 12.5 s for all
// of them. Who gets its turn in the last moment has no time left to be answered:
// that is the queue's fault, and says nothing about the endpoint.
func TestSlots_LongQueueIsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{latency: 190 * time.Millisecond}
		src := newSource(t, d)
		accounts := accts(t, 1000)
		all := together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), accounts[i])
		})
		late := 0
		for i, g := range all {
			if g.err == nil {
				continue
			}
			late++
			if e := wantKind(t, g.err, tokensource.ErrOverloaded); e.Suppressed || e.RetryAfter != 0 {
				t.Fatalf("account %d: %v, as if it had failed", i, e)
			}
			token(t, src, accounts[i]) // Neither the account nor the Source is in cooldown.
		}
		if late == 0 || late == len(all) {
			t.Errorf("%d of %d were late: the test proves nothing", late, len(all))
		}
	})
}

func TestMaxAccounts_BoundsTheAccounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
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
		d := &desk{latency: 100 * time.Millisecond}
		src := newSource(t, d, maxAccounts(10))
		accounts := accts(t, 500)
		together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), accounts[i]) // Nobody can be evicted now.
		})
		token(t, src, acct(t, 1))
		if src.Status().Accounts > 10 {
			t.Errorf("%d accounts are kept", src.Status().Accounts)
		}
	})
}

func TestEviction_KeepsAccountsInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{lifetime: time.Hour}
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

// Somebody who makes up account numbers pushes out few accounts that have a
// token: at most one in eight, because eviction looks at eight.
func TestEviction_BeginsWithoutTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{lifetime: time.Hour}
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
		src := newSource(t, &desk{lifetime: time.Hour})
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
		d := &desk{latency: 10 * time.Millisecond, lifetime: time.Hour}
		src := newSource(t, d, maxAccounts(1))
		one := src.ForAccount(acct(t, 1))
		first, err := one.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		token(t, src, acct(t, 2)) // Pushes the first out.

		all := together(100, 0, func(i int) (*tokensource.Token, error) {
			if i%2 == 0 {
				return one.Token(t.Context())
			}
			return src.Token(t.Context(), acct(t, 1))
		})
		got := serials(t, all)
		if len(got) != 1 || all[0].token == first {
			t.Errorf("the callers got the tokens %d", got)
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
		d := &desk{latency: 100 * time.Millisecond}
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

// An account that is evicted and comes back, over and over, on real threads: for
// the race detector, for deadlocks, and for the one issuance at a time.
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
				t.Errorf("got %v", err)
			}
		}
		return nil, nil
	})
}

func TestEviction_CallerStartsAgain(t *testing.T) {
	d := &desk{}
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
			t.Fatal("a token was kept where nobody finds it")
		}
	}
	token(t, src, other) // Ends the eviction.
	if tok := <-answered; tok == nil || token(t, src, one) != tok {
		t.Errorf("got %v, which is not kept", tok)
	}
	wantAsked(t, d, 2)
}
