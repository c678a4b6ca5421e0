// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestLifetime_PassesDuringSuspend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		clocks := src.PartClocks()
		first := token(t, src, acct(t, 1))
		d.fail(errDown)

		clocks.Suspend(584 * time.Second)
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is not served 1 s before it expires")
		}
		clocks.Suspend(time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		clocks.Suspend(15 * time.Second)
		if !first.Expired() {
			t.Error("the token has not expired")
		}
	})
}

func TestLifetime_ClockSetBackChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		clocks := src.PartClocks()
		first := token(t, src, acct(t, 1))
		d.fail(errDown)

		clocks.SetWall(-24 * time.Hour)
		clocks.PassWithWallStopped(584 * time.Second)
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is not served 1 s before it expires")
		}
		clocks.PassWithWallStopped(time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		clocks.PassWithWallStopped(15 * time.Second)
		if !first.Expired() {
			t.Error("the token has not expired")
		}
	})
}

func TestSetAuthHeader_SendsTheGrantedValue(t *testing.T) {
	for name, tt := range map[string]struct {
		bare bool
		want string
	}{
		"with the scheme": {false, "Bearer secret-token"},
		"bare":            {true, "secret-token"},
	} {
		t.Run(name, func(t *testing.T) {
			grant := opaque("secret-token", 0)
			grant.Bare = tt.bare
			tok := token(t, newSource(t, granting(grant)), acct(t, 1))

			h := http.Header{"Authorization": {"Basic one", "Basic two"}}
			tok.SetAuthHeader(h)
			if got := h.Values("Authorization"); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("Authorization is %q, want %q alone", got, tt.want)
			}
			if tok.Reveal() != "secret-token" {
				t.Errorf("Reveal returns %q, want secret-token", tok.Reveal())
			}
		})
	}
}

func TestSetAuthHeader_HeadersAreIndependent(t *testing.T) {
	tok := token(t, newSource(t, &fakeIssuer{}), acct(t, 1))
	one, other := http.Header{}, http.Header{}
	tok.SetAuthHeader(one)
	tok.SetAuthHeader(other)
	one["Authorization"][0] = "changed"
	if got := other.Get("Authorization"); got != "Bearer "+tok.Reveal() {
		t.Errorf("the other header holds %q", got)
	}
}

func TestToken_ReturnsItsAccount(t *testing.T) {
	src := newSource(t, &fakeIssuer{})
	a, b := token(t, src, acct(t, 1)), token(t, src, acct(t, 2))
	if a.Account() != acct(t, 1) || b.Account() != acct(t, 2) {
		t.Errorf("the accounts are %q and %q", a.Account().ID(), b.Account().ID())
	}
	if a.Serial() != 1 || b.Serial() != 2 {
		t.Errorf("the serial numbers are %d and %d, want 1 and 2", a.Serial(), b.Serial())
	}
}

func TestClaims_AreReadUnverified(t *testing.T) {
	grant := opaque(jwtOf(`{"iss":"Passport","aid":"7","n":9007199254740993}`), 0)
	claims := token(t, newSource(t, granting(grant)), acct(t, 7)).Claims()
	if claims["iss"] != "Passport" {
		t.Errorf("iss is %v, want Passport", claims["iss"])
	}
	// An id beyond 2^53 must not be rounded to that of another account.
	if n, ok := claims["n"].(interface{ String() string }); !ok || n.String() != "9007199254740993" {
		t.Errorf("a large number is %v", claims["n"])
	}
	if claims := token(t, newSource(t, &fakeIssuer{}), acct(t, 7)).Claims(); claims != nil {
		t.Errorf("an opaque token has the claims %v", claims)
	}
}

func TestToken_ReturnsItsLifetime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tok := token(t, newSource(t, &fakeIssuer{}), acct(t, 1))
		if want := "token 1, expires 2000-01-01T00:10:00Z"; tok.String() != want {
			t.Errorf("got %q, want %q", tok, want)
		}
		if none := (*tokensource.Token)(nil); !strings.Contains(none.String(), "nil") {
			t.Errorf("a nil token prints as %q", none)
		}
	})
}

func TestIsIn_NeedsTheTokenAlone(t *testing.T) {
	src := newSource(t, &fakeIssuer{})
	tok, other := token(t, src, acct(t, 1)), token(t, src, acct(t, 2))
	mine, others := "Bearer "+tok.Reveal(), "Bearer "+other.Reveal()
	for name, tt := range map[string]struct {
		values []string
		want   bool
	}{
		"none":         {nil, false},
		"empty":        {[]string{""}, false},
		"alone":        {[]string{mine}, true},
		"another":      {[]string{others}, false},
		"two":          {[]string{mine, others}, false},
		"twice":        {[]string{mine, mine}, false},
		"without word": {[]string{tok.Reveal()}, false},
	} {
		if got := tok.IsIn(http.Header{"Authorization": tt.values}); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	h := http.Header{}
	tok.SetAuthHeader(h)
	if !tok.IsIn(h) || tok.IsIn(http.Header{}) {
		t.Error("IsIn is wrong for a header with or without the token")
	}
}

func TestHasAnyToken_TrueWhileAnyTokenServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{lifetime: time.Hour}
		src := newSource(t, d)
		clocks := src.PartClocks()
		live := func(when string, want bool) {
			t.Helper()
			if src.HasAnyToken() != want {
				t.Errorf("%s, HasAnyToken is %v", when, src.HasAnyToken())
			}
		}
		live("without a token", false)
		token(t, src, acct(t, 1))
		live("with a token", true)
		d.lifetime = time.Minute
		token(t, src, acct(t, 2))
		time.Sleep(2 * time.Minute)
		live("when the shorter-lived of two tokens has expired", true)

		clocks.Suspend(time.Hour) // The longer-lived token has expired, by the wall clock alone.
		live("after a long suspend", false)
		token(t, src, acct(t, 2))
		live("with a new token of a short lifetime", true)
		time.Sleep(time.Minute)
		live("when all tokens have expired", false)
	})
}
