// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The limits change while the Source runs, so that a configuration reload does
// not cost ten thousand issuances.
func TestSetLimits_KeepsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &fakeIssuer{latency: time.Second}
		source, err := tokensource.New(tokensource.Config{Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		first, err := source.Token(t.Context(), tokensource.Organization())
		if err != nil {
			t.Fatal(err)
		}
		if err := source.SetLimits(tokensource.Limits{MaxAccounts: 3, MaxIssuances: 1, IssueTimeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if again, err := source.Token(t.Context(), tokensource.Organization()); err != nil || again != first {
			t.Errorf("another token, or %v", err)
		}
	})
}

func TestSetLimits_TakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &fakeIssuer{latency: time.Second}
		source, err := tokensource.New(tokensource.Config{Issuer: issuer, MaxIssuances: 8})
		if err != nil {
			t.Fatal(err)
		}
		together := func(from, n int) (failed int) {
			errs := make(chan error)
			for i := range n {
				account, err := tokensource.ParseAccountID(strconv.Itoa(from + i))
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					_, err := source.Token(t.Context(), account)
					errs <- err
				}()
			}
			for range n {
				if <-errs != nil {
					failed++
				}
			}
			return failed
		}
		if failed := together(1, 8); failed != 0 || issuer.most != 8 {
			t.Fatalf("%d failed, %d at once", failed, issuer.most)
		}
		issuer.most = 0
		if err := source.SetLimits(tokensource.Limits{MaxIssuances: 2, MaxAccounts: 5}); err != nil {
			t.Fatal(err)
		}
		if failed := together(100, 8); failed != 0 || issuer.most != 2 {
			t.Errorf("%d failed, %d at once, want 2", failed, issuer.most)
		}
		if failed := together(150, 1); failed != 0 { // Accounts with a running issuance are not evicted.
			t.Error("it failed")
		}
		if n := source.Status().Accounts; n > 5 {
			t.Errorf("%d accounts are kept, want 5", n)
		}
		if err := source.SetLimits(tokensource.Limits{IssueTimeout: 500 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if failed := together(200, 1); failed != 1 {
			t.Error("an issuance of 1 s succeeds with a timeout of 0.5 s")
		}
	})
}

func TestSetLimits_Faults(t *testing.T) {
	source, err := tokensource.New(tokensource.Config{Issuer: new(fakeIssuer)})
	if err != nil {
		t.Fatal(err)
	}
	err = source.SetLimits(tokensource.Limits{MaxAccounts: -1, MaxIssuances: -1, IssueTimeout: -1})
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 3 || !errors.Is(err, tokensource.ErrMisconfigured) {
		t.Errorf("got error %v, want 3 faults of kind misconfigured", err)
	}
}
