// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A token endpoint may cache tokens, and return the same token until it has
// nearly expired. The lifetime of the token must not restart with each
// response.
func TestToken_KeepsItsAgeWhenHandedOutAgain(t *testing.T) {
	for name, told := range map[string]func(*tokensource.Grant, time.Duration, time.Time){
		"by nothing":    func(*tokensource.Grant, time.Duration, time.Time) {},
		"by expires_in": func(g *tokensource.Grant, left time.Duration, _ time.Time) { g.ExpiresIn = left },
		"by Date":       func(g *tokensource.Grant, _ time.Duration, now time.Time) { g.Date = now },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				born, calls := time.Now(), 0
				src := newSource(t, issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
					calls++
					if time.Since(born) >= 590*time.Second {
						born = time.Now()
					}
					claims := fmt.Sprintf(`{"iat":%d,"exp":%d}`, born.Unix(), born.Unix()+600)
					grant := opaque(jwtOf(claims), 0)
					told(&grant, time.Until(born.Add(600*time.Second)), time.Now())
					return grant, nil
				}))
				for range 3600 {
					tok := token(t, src, acct(t, 1))
					if exp, _ := jwt.MapClaims(tok.Claims()).GetExpirationTime(); time.Now().After(exp.Time) {
						t.Fatal("the Source returned an expired token")
					}
					time.Sleep(time.Second)
				}
				if calls > 6*30 {
					t.Errorf("%d issuances in an hour, for six tokens", calls)
				}
			})
		})
	}
}

// A replay with the same token would be refused again.
func TestRenew_RefusesTheSameToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, granting(opaque("the-one-there-is", lifetime)))
		first := token(t, src, acct(t, 1))
		err := wantNotRenewed(t, src, first, tokensource.ErrMalformedResponse)
		if !strings.Contains(err.Error(), "the same token again") {
			t.Errorf("the error says %q, want that the endpoint returned the same token again", err)
		}
		if token(t, src, acct(t, 1)) != first {
			t.Error("the only token is out of service")
		}
	})
}

// There is no other token. So the token serves until it expires, and not only
// to its safety margin.
func TestToken_ServesARepeatedTokenToItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		claims := jwtOf(claimsOf("iat", time.Now().Unix(), "exp", time.Now().Add(lifetime).Unix()))
		src := newSource(t, granting(opaque(claims, 0)))
		first := token(t, src, acct(t, 1))
		for time.Now().Before(first.Expiry().Add(-time.Second)) {
			if token(t, src, acct(t, 1)) != first {
				t.Fatal("another token is served")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrMalformedResponse)
	})
}

// Only the endpoint knows whether an opaque token has expired. A program whose
// issuer returns a fixed token must not fail after ten minutes.
func TestToken_OpaqueTokenMayLiveAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, granting(opaque("the-one-there-is", lifetime)))
		for range 100 {
			token(t, src, acct(t, 1))
			time.Sleep(lifetime / 2)
			synctest.Wait()
		}
	})
}

func TestInvalidate_AcceptsTheSameTokenAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, granting(opaque("the-one-there-is", lifetime)))
		first := token(t, src, acct(t, 1))
		time.Sleep(time.Minute)
		src.Invalidate(acct(t, 1))
		if tok := token(t, src, acct(t, 1)); tok.Expiry() != first.Expiry() {
			t.Errorf("the token expires at %v, want %v", tok.Expiry(), first.Expiry())
		}
	})
}
