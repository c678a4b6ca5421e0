// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestToken_FreshAllocatesNothing(t *testing.T) {
	for name, hooks := range map[string]tokensource.Hooks{
		"without hooks":                  {},
		"with hooks that return nothing": silent,
		"with joined hooks":              tokensource.JoinHooks(silent, silent),
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(t, &fakeIssuer{}, withHooks(hooks))
			account := acct(t, 1)
			one := src.ForAccount(account)
			ctx := context.Background()
			token(t, src, account)
			for what, ask := range map[string]func() (*tokensource.Token, error){
				"Source.Token":        func() (*tokensource.Token, error) { return src.Token(ctx, account) },
				"AccountSource.Token": func() (*tokensource.Token, error) { return one.Token(ctx) },
			} {
				allocs := testing.AllocsPerRun(1000, func() {
					if _, err := ask(); err != nil {
						t.Fatal(err)
					}
				})
				if allocs != 0 {
					t.Errorf("%s allocates %v times, want 0", what, allocs)
				}
			}
		})
	}
}

func TestParseAccountID_Allocations(t *testing.T) {
	keep := acct(t, 102681871)
	allocs := testing.AllocsPerRun(1000, func() {
		if account, err := tokensource.ParseAccountID("102681871"); err != nil || account != keep {
			t.Fatalf("got account %v, error %v, want %v", account, err, keep)
		}
	})
	if allocs != 0 {
		t.Errorf("ParseAccountID allocates %v times, want 0", allocs)
	}
	allocs = testing.AllocsPerRun(1000, func() {
		if keep.Kind() != tokensource.KindAccount || keep.ID() == "" {
			t.Fatalf("got account %v, want one with a kind and an id", keep)
		}
	})
	if allocs > 1 { // The text of the id.
		t.Errorf("Kind and ID allocate %v times, want 0", allocs)
	}
}

// An issuance allocates the account's entry, its token, and what the issuance
// itself needs.
func TestSource_IssuanceAllocations(t *testing.T) {
	const limit = 19
	src := newSource(t, granting(opaque("token", time.Hour)))
	accounts := accts(t, 2000)
	next := 0
	allocs := testing.AllocsPerRun(1000, func() {
		token(t, src, accounts[next])
		next++
	})
	if allocs > limit {
		t.Errorf("an issuance allocates %v times, want at most %d", allocs, limit)
	}
}
