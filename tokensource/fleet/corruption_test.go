// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// A writer to the store brings a failure back, for a day.
func TestStore_FailureCannotLast(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.fail(tokensource.NewError(tokensource.ErrAccountRejected, nil))
		_, _ = newSource(t, p, store).Token(t.Context(), acct(t, 1))
		failures := store.Values()
		p.fail(nil)
		store.RollBack(failures, 24*time.Hour)
		var poisoned atomic.Int64
		count := func(c *fleet.Config) { c.Hooks.Poisoned = func(context.Context) { poisoned.Add(1) } }
		token(t, newSource(t, p, store, count), acct(t, 1))
		if n := poisoned.Load(); n != 1 {
			t.Errorf("%d poisoned values were counted, want 1", n)
		}
		store.Clear()
		store.RollBack(failures, time.Minute+400*time.Millisecond) // A cooldown, and the minute after it.
		_, err := newSource(t, p, store).Token(t.Context(), acct(t, 1))
		if !errors.Is(err, tokensource.ErrAccountRejected) {
			t.Errorf("got %v, want the shared failure within its life", err)
		}
	})
}

// The issuance that meets a poisoned failure replaces it.
func TestStore_PoisonedFailureIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.fail(tokensource.NewError(tokensource.ErrAccountRejected, nil))
		_, _ = newSource(t, p, store).Token(t.Context(), acct(t, 1))
		p.fail(nil)
		for name := range store.Values() {
			store.Poison(name, []byte("p1:nonsense"), time.Hour)
		}
		token(t, newSource(t, p, store), acct(t, 1))
		for _, value := range store.Values() {
			if strings.Contains(string(value), "nonsense") {
				t.Error("the poisoned value is still there")
			}
		}
	})
}

// A writer to the store brings back a token that is not valid any more.
func TestStore_OldTokenCostsOneRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		first := newSource(t, p, store)
		old := token(t, first, acct(t, 1))
		before := store.Values()
		if _, err := first.Renew(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		store.RollBack(before, 5*time.Minute)
		sources := newFleet(t, 20, p, store)
		each(sources, func(src *tokensource.Source) {
			tok := token(t, src, acct(t, 1))
			if tok.Reveal() != old.Reveal() {
				return // Another replica has renewed it.
			}
			if tok, err := src.Renew(t.Context(), tok); err != nil || !p.accepts(tok) {
				t.Errorf("the renewal returned a refused token, error %v", err)
			}
		})
		wantAsked(t, p, 3, 3)
	})
}

func TestStore_LiesCostNoToken(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		const accounts = 5
		use := func(src *tokensource.Source) {
			for n := range accounts {
				tok := token(t, src, acct(t, n+1))
				if !strings.HasPrefix(tok.Reveal(), "token-"+acct(t, n+1).ID()+"-") {
					t.Error("an account has the token of another one")
				}
				if tok, err := src.Renew(t.Context(), tok); err != nil || tok == nil {
					t.Errorf("a renewal failed: %v", err)
				}
			}
		}
		sources := newFleet(t, 3, p, store)
		use(sources[0])
		store.Swap()
		use(sources[1])
		store.SetLies(true)
		use(sources[2])
		store.SetLies(false)
		time.Sleep(time.Hour)
		before := p.asked()
		each(newFleet(t, 20, p, store), func(src *tokensource.Source) { token(t, src, acct(t, 1)) })
		wantAsked(t, p, before+1, before+1)
	})
}
