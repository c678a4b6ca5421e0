// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// outcomes counts what the hooks tell.
type outcomes struct {
	mu   sync.Mutex
	seen map[string]int
}

func (o *outcomes) hooks() fleet.Hooks {
	return fleet.Hooks{Operation: func(ctx context.Context, op fleet.Operation) (context.Context, func(fleet.OperationResult)) {
		return ctx, func(r fleet.OperationResult) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.seen == nil {
				o.seen = map[string]int{}
			}
			o.seen[string(op)+" "+string(r.Outcome)]++
		}
	}}
}

func (o *outcomes) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[what]
}

func TestHooks_TellEachOutcome(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		seen := &outcomes{}
		edit := func(c *fleet.Config) { c.Hooks = seen.hooks() }
		one, two := newSource(t, p, store, edit), newSource(t, p, store, edit)
		each([]*tokensource.Source{one, two}, func(src *tokensource.Source) { token(t, src, acct(t, 1)) })
		for _, src := range []*tokensource.Source{one, two} { // The first one spends the budget.
			for range 4 {
				_, _ = src.Renew(t.Context(), token(t, src, acct(t, 1)))
			}
		}
		p.fail(tokensource.NewError(tokensource.ErrUnavailable, nil))
		_, _ = one.Token(t.Context(), acct(t, 2)) // It releases its lease.
		p.fail(nil)
		store.SetFault(fleettest.Fail(errors.New("READONLY")))
		for n := range 6 {
			token(t, newSource(t, p, store, edit), acct(t, 10+n))
			_, _ = one.Token(t.Context(), acct(t, 20+n))
		}
		ctx, cancel := context.WithCancel(t.Context())
		store.SetFault(func(context.Context, string) error { cancel(); return errors.New("late") })
		fresh, err := fleet.New(fleet.Config{Issuer: p, Store: store, Key: keyOf(secret), Hooks: seen.hooks()})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fresh.Issue(ctx, acct(t, 1))
		for _, want := range []string{
			"claim found", "claim leased", "claim none", "claim failed", "claim skipped", "claim canceled",
			"publish stored", "publish released", "take taken", "take empty",
		} {
			if seen.count(want) == 0 {
				t.Errorf("no hook told %q", want)
			}
		}
	})
}

// A process whose issuance outlives its lease does not replace the token that
// another process has published since.
func TestHooks_TellThatTheStoreKeptAValue(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		seen := &outcomes{}
		slow := &platform{latency: 6 * time.Second}
		issuer, err := fleet.New(fleet.Config{Issuer: slow, Store: store, Key: keyOf(secret), Scope: "test", Hooks: seen.hooks()})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = issuer.Issue(t.Context(), acct(t, 1)) }()
		time.Sleep(time.Millisecond)
		store.Clear() // The Store loses its data, and with them the lease.
		token(t, newSource(t, p, store), acct(t, 1))
		time.Sleep(7 * time.Second)
		if n := seen.count("publish kept"); n != 1 {
			t.Errorf("the hooks told of %d publications that were not stored, want 1", n)
		}
	})
}

func TestJoinHooks_CallsAll(t *testing.T) {
	none := fleet.JoinHooks(fleet.Hooks{}, fleet.Hooks{})
	if none.Operation != nil || none.Poisoned != nil {
		t.Error("hooks joined from none are set")
	}
	one, two, poisoned := &outcomes{}, &outcomes{}, 0
	a, b := one.hooks(), two.hooks()
	a.Poisoned = func(context.Context) { poisoned++ }
	for _, joined := range []fleet.Hooks{fleet.JoinHooks(a, b), fleet.JoinHooks(b, a)} {
		joined.Poisoned(t.Context())
		_, done := joined.Operation(t.Context(), fleet.OpTake)
		done(fleet.OperationResult{Outcome: fleet.OutcomeTaken})
	}
	b.Poisoned = a.Poisoned
	fleet.JoinHooks(a, b).Poisoned(t.Context())
	if one.count("take taken") != 2 || two.count("take taken") != 2 || poisoned != 4 {
		t.Errorf("the hooks were called %d, %d and %d times, want 2, 2 and 4", one.count("take taken"), two.count("take taken"), poisoned)
	}
}

// The error of a hook and of the status shows only what is safe to log.
func TestHooks_ErrorsAreSafeToLog(t *testing.T) {
	hidden := errors.New("dial tcp redis.internal: password hunter2")
	key := func(err error) func(context.Context) (tokensource.Secret, error) {
		return func(context.Context) (tokensource.Secret, error) { return tokensource.Secret{}, err }
	}
	for name, tt := range map[string]struct {
		fault fleettest.Fault
		key   func(context.Context) (tokensource.Secret, error)
		want  string
	}{
		"unknown":   {fleettest.Fail(hidden), keyOf(secret), "the store failed: claim: it returned an error"},
		"hangs":     {fleettest.Hang, keyOf(secret), "the store failed: claim: it did not answer within 250ms"},
		"panics":    {func(context.Context, string) error { panic(hidden) }, keyOf(secret), "the store failed: claim: it panicked"},
		"safe":      {fleettest.Fail(tokensource.SafeError("READONLY", hidden)), keyOf(secret), "the store failed: claim: READONLY"},
		"short key": {nil, keyOf("short"), "the key cannot be used: it is shorter than 16 bytes"},
		"bad key":   {nil, key(hidden), "the key cannot be used: it cannot be read"},
		"safe key":  {nil, key(tokensource.SafeError("no such file", hidden)), "the key cannot be used: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
				var told []error
				hooks := fleet.Hooks{Operation: func(ctx context.Context, _ fleet.Operation) (context.Context, func(fleet.OperationResult)) {
					return ctx, func(r fleet.OperationResult) { told = append(told, r.Err) }
				}}
				store.SetFault(tt.fault)
				issuer, err := fleet.New(fleet.Config{Issuer: p, Store: store, Key: tt.key, Hooks: hooks})
				if err != nil {
					t.Fatal(err)
				}
				_, _ = issuer.Issue(t.Context(), acct(t, 1))
				if len(told) == 0 || told[0] == nil || told[0].Error() != "fleet: "+tt.want {
					t.Errorf("the hook told %v, want %s", told, tt.want)
				}
				if err := issuer.Status().LastError; err == nil || !strings.HasPrefix(err.Error(), "fleet: ") {
					t.Errorf("the status has the error %v", err)
				}
			})
		})
	}
}
