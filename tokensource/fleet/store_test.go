// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"bytes"
	"context"

	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

func TestStore_FailuresCostNoToken(t *testing.T) {
	for name, tt := range map[string]struct {
		fault fleettest.Fault
		most  time.Duration // of all waits in the first second
	}{
		"refuses": {fleettest.Fail(errors.New("connection refused")), 0},
		"hangs":   {fleettest.Hang, 5 * 250 * time.Millisecond},
		"panics":  {func(context.Context, string) error { panic("store") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
				store.SetFault(tt.fault)
				src := newSource(t, p, store)
				var waits time.Duration
				for n := range 10 { // This takes less than half a second, so no call is repeated.
					start := time.Now()
					token(t, src, acct(t, n+1))
					waits += time.Since(start) - p.latency
				}
				wantAsked(t, p, 10, 10)
				if waits > tt.most {
					t.Errorf("the store cost %v, want at most %v", waits, tt.most)
				}
				if n := store.Calls(); n > 7 {
					t.Errorf("a failing store was called %d times", n)
				}
			})
		})
	}
}

func TestStore_ComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		store.SetFault(fleettest.Fail(errors.New("READONLY")))
		issuer, err := fleet.New(fleet.Config{Issuer: p, Store: store, Key: keyOf(secret), Scope: "test"})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 10 {
			_, _ = issuer.Issue(t.Context(), acct(t, n+1))
		}
		if s := issuer.Status(); s.OpenUntil.IsZero() || s.Reachable || s.LastError == nil || s.Failed != 5 || s.Skipped == 0 {
			t.Errorf("the status with a failing store is %+v", s)
		}
		store.SetFault(nil)
		time.Sleep(time.Minute)
		if _, err := issuer.Issue(t.Context(), acct(t, 1)); err != nil {
			t.Error(err)
		}
		if s := issuer.Status(); !s.OpenUntil.IsZero() || !s.Reachable || s.LastError != nil || s.Succeeded == 0 {
			t.Errorf("the status with a store that is back is %+v", s)
		}
		before := p.asked()
		token(t, newSource(t, p, store), acct(t, 1))
		wantAsked(t, p, before, before)
	})
}

// A process that dies with the lease delays the other processes by its length.
func TestStore_LostLeaseDelaysLittle(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		ctx, die := context.WithCancel(t.Context())
		stuck, err := fleet.New(fleet.Config{Issuer: &platform{latency: time.Hour}, Store: mortal{store, ctx}, Key: keyOf(secret), Scope: "test"})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = stuck.Issue(ctx, acct(t, 1)) }()
		time.Sleep(time.Second)
		die()
		start := time.Now()
		token(t, newSource(t, p, store), acct(t, 1))
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("the token took %v, want 5s at most", d)
		}
		if n := len(store.Values()); n != 1 {
			t.Errorf("the store has %d values, want the token", n)
		}
	})
}

// A mortal store is that of a process that can die.
type mortal struct {
	fleet.Store

	alive context.Context //nolint:containedctx // It is the life of the process.
}

func (m mortal) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	if m.alive.Err() != nil {
		return fleet.Claim{}, m.alive.Err()
	}
	return m.Store.Claim(ctx, name, ask)
}

func (m mortal) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	if m.alive.Err() != nil {
		return false, m.alive.Err()
	}
	return m.Store.Publish(ctx, name, p)
}

// The replicas wait for one that a slow endpoint keeps waiting, and do not
// burden the endpoint further.
func TestStore_SlowEndpointKeepsTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.latency = 7 * time.Second
		each(newFleet(t, 50, p, store), func(src *tokensource.Source) { token(t, src, acct(t, 1)) })
		wantAsked(t, p, 1, 1)
	})
}

// The patience leaves time for an issuance of one's own.
func TestStore_PatienceFitsTheTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		for _, timeout := range []time.Duration{time.Second, 3 * time.Second, 0} {
			store.Clear()
			stuck := &platform{latency: time.Hour}
			dead := newSource(t, stuck, store)
			go func() { _, _ = dead.Token(t.Context(), acct(t, 1)) }()
			time.Sleep(10 * time.Millisecond)
			issuer, err := fleet.New(fleet.Config{Issuer: p, Store: store, Key: keyOf(secret), Scope: "test"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if timeout > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), timeout)
			}
			if _, err := issuer.Issue(ctx, acct(t, 1)); err != nil {
				t.Errorf("with %v for the issuance: %v", timeout, err)
			}
			cancel()
			time.Sleep(20 * time.Second)
		}
	})
}

func TestStore_PoisonIsNotAdopted(t *testing.T) {
	tamper := map[string]func(own, other []byte) []byte{
		"lives longer": func(own, _ []byte) []byte { return own }, // for an hour

		"swapped":       func(_, other []byte) []byte { return other },
		"truncated":     func(own, _ []byte) []byte { return own[:len(own)-1] },
		"cut short":     func([]byte, []byte) []byte { return []byte("p") },
		"changed":       func(own, _ []byte) []byte { own[len(own)-1] ^= 1; return own },
		"other version": func(own, _ []byte) []byte { own[1] = '2'; return own },
		"1 MiB":         func([]byte, []byte) []byte { return make([]byte, 1<<20) },
	}
	for name, change := range tamper {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
				token(t, newSource(t, p, store), acct(t, 1))
				own := store.Values()
				token(t, newSource(t, p, store), acct(t, 2))
				for key, value := range own {
					for otherKey, other := range store.Values() {
						if otherKey != key {
							store.Poison(key, change(bytes.Clone(value), other), time.Hour)
						}
					}
				}
				var poisoned atomic.Int64
				src := newSource(t, p, store, func(c *fleet.Config) {
					c.Hooks.Poisoned = func(context.Context) { poisoned.Add(1) }
				})
				token(t, src, acct(t, 1))
				wantAsked(t, p, 3, 3)
				if n := poisoned.Load(); n != 1 {
					t.Errorf("%d poisoned values were counted, want 1", n)
				}
				token(t, newSource(t, p, store), acct(t, 1)) // The issuance replaced the poisoned value.
				wantAsked(t, p, 3, 3)
			})
		})
	}
}

func TestStore_OtherSecretSharesNothing(t *testing.T) {
	for name, edit := range map[string]func(*fleet.Config){
		"secret": func(c *fleet.Config) { c.Key = keyOf("another secret of 16 bytes") },
		"scope":  func(c *fleet.Config) { c.Scope = "production" },
		"no key": func(c *fleet.Config) { c.Key = keyOf("short") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
				token(t, newSource(t, p, store), acct(t, 1))
				token(t, newSource(t, p, store, edit), acct(t, 1))
				wantAsked(t, p, 2, 2)
			})
		})
	}
}

func TestStore_LearnsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		tok := token(t, newSource(t, p, store), acct(t, 102681871))
		for name, value := range store.Values() {
			for _, hidden := range []string{tok.Reveal(), "102681871", secret, "account", "test"} {
				if bytes.Contains([]byte(name), []byte(hidden)) || bytes.Contains(value, []byte(hidden)) {
					t.Errorf("the store has %q", hidden)
				}
			}
		}
	})
}

func TestStore_FailureSpeaksOnlyOfItself(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.fail(tokensource.NewError(tokensource.ErrAccountRejected, nil))
		_, _ = newSource(t, p, store).Token(t.Context(), acct(t, 1))
		_, err := newSource(t, p, store).Token(t.Context(), acct(t, 1))
		if !errors.Is(err, tokensource.ErrAccountRejected) {
			t.Errorf("got %v, want the shared rejection", err)
		}
		wantAsked(t, p, 1, 1)
		p.fail(nil)
		token(t, newSource(t, p, store), acct(t, 2))
	})
}

// A process that panics while it tries after a cooldown does not keep the
// others from trying.
func TestStore_PanicEndsTheProbe(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		p.fail(tokensource.NewError(tokensource.ErrAccountRejected, nil))
		_, _ = newSource(t, p, store).Token(t.Context(), acct(t, 1))
		p.fail(nil)
		time.Sleep(1500 * time.Millisecond) // The cooldown is over.
		_, err := newSource(t, panickingIssuer{}, store).Token(t.Context(), acct(t, 1))
		if !errors.Is(err, tokensource.ErrIssuerPanic) {
			t.Errorf("got %v, want the panic", err)
		}
		token(t, newSource(t, p, store), acct(t, 1))
	})
}

type panickingIssuer struct{}

func (panickingIssuer) Issue(context.Context, tokensource.Account) (tokensource.Grant, error) {
	panic("issuer")
}
