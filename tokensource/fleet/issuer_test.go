// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

func TestNew_ReportsEveryFault(t *testing.T) {
	_, err := fleet.New(fleet.Config{})
	for _, field := range []string{"Config.Issuer", "Config.Store", "Config.Key"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("the error %v does not name %s", err, field)
		}
	}
}

func TestFleet_ColdStartIssuesOnce(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		const accounts = 100
		each(newFleet(t, 20, p, store), func(src *tokensource.Source) {
			var all sync.WaitGroup
			for n := range accounts {
				all.Go(func() { token(t, src, acct(t, n+1)) })
			}
			all.Wait()
		})
		wantAsked(t, p, accounts, accounts)
	})
}

func TestFleet_RestartIssuesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		first := token(t, newSource(t, p, store), acct(t, 1))
		time.Sleep(100 * time.Second)
		second := token(t, newSource(t, p, store), acct(t, 1))
		wantAsked(t, p, 1, 1)
		if second.Reveal() != first.Reveal() || second.Lifetime() != lifetime {
			t.Error("the restarted process has another token")
		}
		if d := first.Expiry().Sub(second.Expiry()); d < 0 || d > 100*time.Millisecond {
			t.Errorf("the shared token ends %v before the original", d)
		}
	})
}

func TestFleet_RevocationIssuesOnce(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		sources := newFleet(t, 50, p, store)
		each(sources, func(src *tokensource.Source) { token(t, src, acct(t, 1)) })
		each(sources, func(src *tokensource.Source) {
			refused := token(t, src, acct(t, 1))
			var callers sync.WaitGroup
			for range 20 {
				callers.Go(func() {
					tok, err := src.Renew(t.Context(), refused)
					if err != nil || tok.Reveal() == refused.Reveal() {
						t.Errorf("the renewal returned %v and error %v", tok, err)
					}
				})
			}
			callers.Wait()
		})
		wantAsked(t, p, 2, 2)
	})
}

// The platform revokes older tokens when it issues a new token. Without a
// store, replicas revoke one another's tokens in turn.
func TestFleet_NewTokenMayEndOldOnes(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		sources := newFleet(t, 50, p, store)
		var refused atomic.Int64
		for range 3600 {
			each(sources, func(src *tokensource.Source) {
				tok := token(t, src, acct(t, 1))
				if p.accepts(tok) {
					return
				}
				refused.Add(1)
				if tok, err := src.Renew(t.Context(), tok); err != nil || !p.accepts(tok) {
					t.Errorf("a caller sees a 401: %v", err)
				}
			})
			time.Sleep(time.Second)
		}
		wantAsked(t, p, 6, 9) // The first renewal is after 420 s to 480 s.
	})
}

func TestFleet_EndlessRefusalsCostLittle(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		sources := newFleet(t, 50, p, store)
		for range 60 {
			each(sources, func(src *tokensource.Source) { _, _ = src.Renew(t.Context(), token(t, src, acct(t, 1))) })
			time.Sleep(time.Second)
		}
		wantAsked(t, p, 4, 10)
	})
}

func TestFleet_OutageCostsLikeOneProcess(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.fail(tokensource.NewError(tokensource.ErrUnavailable, nil))
		sources := newFleet(t, 200, p, store)
		for range 600 {
			each(sources, func(src *tokensource.Source) {
				if _, err := src.Token(t.Context(), acct(t, 1)); !errors.Is(err, tokensource.ErrUnavailable) {
					t.Errorf("got error %v, want the shared failure", err)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		wantAsked(t, p, 3, 24)
		p.fail(nil)
		time.Sleep(time.Minute)
		each(sources, func(src *tokensource.Source) {
			for {
				if _, err := src.Token(t.Context(), acct(t, 1)); err == nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
	})
}

// Each replica uses other accounts.
func TestFleet_OutageIsSharedAcrossAccounts(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.fail(tokensource.NewError(tokensource.ErrUnavailable, nil))
		sources := newFleet(t, 50, p, store)
		_, _ = sources[0].Token(t.Context(), acct(t, 1))
		time.Sleep(2 * time.Second)
		_, _ = sources[0].Token(t.Context(), acct(t, 1))
		_, _ = sources[0].Token(t.Context(), acct(t, 2))
		before := p.asked()
		var number atomic.Int64
		each(sources[1:], func(src *tokensource.Source) {
			_, err := src.Token(t.Context(), acct(t, 100+int(number.Add(1))))
			if !errors.Is(err, tokensource.ErrUnavailable) {
				t.Errorf("got error %v, want the shared failure", err)
			}
		})
		wantAsked(t, p, before, before)
	})
}

func TestFleet_FailureHidesNoToken(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		src := newSource(t, p, store)
		tok := token(t, src, acct(t, 1))
		time.Sleep(485 * time.Second)
		p.fail(tokensource.NewError(tokensource.ErrUnavailable, nil))
		token(t, src, acct(t, 1)) // This starts a renewal, which fails.
		synctest.Wait()
		time.Sleep(5 * time.Second)
		if got := token(t, newSource(t, p, store), acct(t, 1)); got.Reveal() != tok.Reveal() {
			t.Error("the valid token is not shared")
		}
	})
}

func TestFleet_InvalidateAdoptsNothingOld(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		src := newSource(t, p, store)
		tok := token(t, src, acct(t, 1))
		src.Invalidate(acct(t, 1))
		if token(t, src, acct(t, 1)).Reveal() == tok.Reveal() {
			t.Error("the invalidated token came back")
		}
	})
}

// A cached token costs no call of the Store.
func TestFleet_CachedTokenAllocatesNothing(t *testing.T) {
	store := &fleettest.Memory{}
	src := newSource(t, &platform{}, store)
	account := acct(t, 1)
	token(t, src, account)
	before := store.Calls()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = src.Token(ctx, account) }); n != 0 {
		t.Errorf("a cached token costs %v allocations, want 0", n)
	}
	if n := store.Calls() - before; n != 0 {
		t.Errorf("cached tokens cost %d calls of the store, want 0", n)
	}
}

// A renewal ahead of expiry takes a shared token only if that token does not
// need a renewal itself.
func TestFleet_RenewalAheadTakesFreshToken(t *testing.T) {
	for name, tt := range map[string]struct {
		replaced time.Duration // when another process renews the token
		calls    int
	}{
		"fresh": {300 * time.Second, 2},
		"due":   {60 * time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
				one, two := newSource(t, p, store), newSource(t, p, store)
				tok := token(t, one, acct(t, 1))
				token(t, two, acct(t, 1))
				time.Sleep(tt.replaced)
				if _, err := one.Renew(t.Context(), tok); err != nil {
					t.Fatal(err)
				}
				time.Sleep(490*time.Second - tt.replaced)
				token(t, two, acct(t, 1)) // This starts the renewal.
				time.Sleep(time.Second)
				wantAsked(t, p, tt.calls, tt.calls)
			})
		})
	}
}

// Each process has its own budget, but the fleet has a common budget.
func TestFleet_BudgetIsShared(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		for _, src := range newFleet(t, 50, p, store) {
			for range 4 {
				_, _ = src.Renew(t.Context(), token(t, src, acct(t, 1)))
			}
		}
		wantAsked(t, p, 4, 4)
	})
}
