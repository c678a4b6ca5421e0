// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// A hook that panics costs no token. The token endpoint takes long, so the
// lease is prolonged meanwhile: a panic on that goroutine would end the
// process.
func TestHooks_PanicCostsNoToken(t *testing.T) {
	log := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(log) })
	for name, operation := range map[string]func(context.Context, fleet.Operation) (context.Context, func(fleet.OperationResult)){
		"begin":       func(context.Context, fleet.Operation) (context.Context, func(fleet.OperationResult)) { panic("begin") },
		"nil context": func(context.Context, fleet.Operation) (context.Context, func(fleet.OperationResult)) { return nil, nil },
		"end": func(ctx context.Context, _ fleet.Operation) (context.Context, func(fleet.OperationResult)) {
			return ctx, func(fleet.OperationResult) { panic("end") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
				p.latency = 3 * time.Second
				hooks := fleet.Hooks{Operation: operation, Poisoned: func(context.Context) { panic("poisoned") }}
				edit := func(c *fleet.Config) { c.Hooks = hooks }
				token(t, newSource(t, p, store, edit), acct(t, 1))
				token(t, newSource(t, p, store, edit), acct(t, 1)) // The token is shared.
				wantAsked(t, p, 1, 1)
				for name := range store.Values() {
					store.Poison(name, []byte("poison"), time.Minute)
				}
				token(t, newSource(t, p, store, edit), acct(t, 1))
				wantAsked(t, p, 2, 2)
			})
		})
	}
}

// A caller that leaves says nothing about the endpoint, so no other process
// waits for a cooldown.
func TestIssue_CanceledCallersShareNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T, p *platform, store *fleettest.Memory) {
		issuer, err := fleet.New(fleet.Config{Issuer: p, Store: store, Key: keyOf(secret), Scope: "test"})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, cancel)
			if _, err := issuer.Issue(ctx, acct(t, 1+n)); err == nil {
				t.Error("an issuance whose caller has left returned a token")
			}
		}
		token(t, newSource(t, p, store), acct(t, 9))
		var shared tokensource.Grant
		if shared, err = issuer.Issue(t.Context(), acct(t, 9)); err != nil || !shared.Adopted {
			t.Errorf("the token is not shared: %v", err)
		}
	})
}
