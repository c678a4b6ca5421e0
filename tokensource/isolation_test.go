// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestIsolation_AccountsKeepTheirTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 50 * time.Millisecond, lifetime: 2 * time.Second}
		src := newSource(t, d)
		external, err := tokensource.ExternalAccountID("1001") // Equal to an internal id.
		if err != nil {
			t.Fatal(err)
		}
		accounts := append(accts(t, 8), tokensource.Organization(), external)
		var callers sync.WaitGroup
		for i := range 50 {
			account := accounts[i%len(accounts)]
			one := src.ForAccount(account)
			callers.Go(func() {
				for n := range 100 {
					time.Sleep(rand.N(100 * time.Millisecond))
					var tok *tokensource.Token
					var err error
					if n%2 == 0 {
						tok, err = one.Token(t.Context())
					} else {
						tok, err = src.Token(t.Context(), account)
					}
					if err == nil && n%10 == 0 {
						if other, err := src.Renew(t.Context(), tok); err == nil {
							tok = other
						}
					}
					if err != nil {
						t.Errorf("no token for %v: %v", account, err)
						return
					}
					if tok.Account() != account || !strings.HasPrefix(tok.Reveal(), tokenFor(account)) {
						t.Errorf("%v %q got the token %q", account, account.ID(), tok.Reveal())
						return
					}
				}
			})
		}
		callers.Wait()
	})
}

// An endpoint can mix up its responses, for example behind a broken cache.
// Callers must get errors, and never the token of another account.
func TestIsolation_MixedUpAnswersFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		accounts := accts(t, 2)
		var mixed, answered atomic.Int64
		src := newSource(t, issuerFunc(func(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
			time.Sleep(10 * time.Millisecond)
			id := accounts[rand.IntN(2)].ID()
			number := answered.Add(1)
			if id != account.ID() {
				mixed.Add(1)
			}
			claims := `{"account-id":"` + id + `","iat":1,"exp":3,"jti":` + strconv.FormatInt(number, 10) + `}`
			return tokensource.Grant{Token: tokensource.NewSecret(jwtOf(claims)), AccountID: id}, nil
		}))
		var callers sync.WaitGroup
		for i := range 16 {
			account := accounts[i%2]
			callers.Go(func() {
				for range 500 {
					time.Sleep(rand.N(200 * time.Millisecond))
					tok, err := src.Token(t.Context(), account)
					if err != nil {
						wantKind(t, err, tokensource.ErrAccountMismatch)
					} else if id := tok.Claims()["account-id"]; id != account.ID() {
						t.Errorf("account %s got the token of %s", account.ID(), id)
					}
				}
			})
		}
		callers.Wait()
		if m, n := mixed.Load(), answered.Load(); m == 0 || m == n {
			t.Fatalf("of %d answers, %d were mixed up: the test proves nothing", n, m)
		}
	})
}

func TestIsolation_SourcesShareNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, other := &fakeIssuer{}, &fakeIssuer{}
		src, second := newSource(t, one), newSource(t, other)
		account := acct(t, 1)

		a := token(t, src, account)
		wantAsked(t, other, 0)
		b := token(t, second, account)
		wantAsked(t, one, 1)
		wantAsked(t, other, 1)
		if a == b || token(t, src, account) != a || token(t, second, account) != b {
			t.Error("the Sources share a token")
		}

		// The Sources share no cooldown, breaker or budget.
		one.fail(failure(tokensource.ErrCredentialsRejected, 401, 0))
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
		wantNotRenewed(t, src, a, tokensource.ErrCredentialsRejected)
		token(t, second, tokensource.Organization())
		for range 3 {
			b = renew(t, second, b)
		}
		wantNotRenewed(t, second, b, tokensource.ErrRenewalLimited)
		one.fail(nil)
		time.Sleep(time.Second)
		renew(t, src, a)
	})
}

func TestIsolation_SourcesMayShareAnIssuer(t *testing.T) {
	d := &fakeIssuer{}
	src, second := newSource(t, d), newSource(t, d)
	token(t, src, acct(t, 1))
	token(t, second, acct(t, 1))
	wantAsked(t, d, 2)
}

func TestAccountSource_SharesTheToken(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	one, other := src.ForAccount(acct(t, 1)), src.ForAccount(acct(t, 1))
	first, err := one.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tok, err := other.Token(t.Context()); tok != first || err != nil {
		t.Errorf("another handle returns %v, %v", tok, err)
	}
	if token(t, src, acct(t, 1)) != first {
		t.Error("the Source returns another token than its handle")
	}
	second := renew(t, src, first)
	if tok, err := one.Token(t.Context()); tok != second || err != nil {
		t.Errorf("after a renewal, the handle returns %v, %v", tok, err)
	}
	if one.Account() != acct(t, 1) {
		t.Errorf("the handle is for %v", one.Account())
	}
	wantAsked(t, d, 2)
}
