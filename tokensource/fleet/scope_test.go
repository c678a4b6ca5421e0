// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A scoped is an issuer that wraps another, and hands on its Scope.
type scoped struct{ inner *passport.OpenID }

func (s scoped) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	return s.inner.Issue(ctx, account)
}

func (s scoped) Scope() string { return s.inner.Scope() }

// Two groups, tenants or environments with one key never share a token. Two
// processes with the same values do.
func TestScope_SeparatesGroupsAndTenants(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pismo.RegisterKey(&key.PublicKey)
	issuer := func(edit func(*passport.OpenID)) tokensource.Issuer {
		o := pismo.OpenIDIssuer(passport.SignerKey(key), "pismo-v1:accounts:rw")
		edit(o)
		return o
	}
	same := func(*passport.OpenID) {}
	store := new(fleettest.Memory)
	serials, shares := map[string]string{}, map[string]string{}
	for _, test := range []struct {
		name   string
		issuer tokensource.Issuer
		shares string // the name of the issuer whose token it shares
	}{
		{"OpenID", issuer(same), ""},
		{"another process", issuer(same), "OpenID"},
		{"another group", issuer(func(o *passport.OpenID) { o.Group = "pismo-v1:orgs:rw" }), ""},
		{"the tenant in lower case", issuer(func(o *passport.OpenID) { o.TenantID = strings.ToLower(o.TenantID) }), ""},
		{"server key and secret", pismo.Issuer(), ""},
		{"a wrapper", scoped{issuer(same).(*passport.OpenID)}, "OpenID"},
		{"a wrapper of another group", scoped{issuer(func(o *passport.OpenID) { o.Group = "pismo-v1:admin:rw" }).(*passport.OpenID)}, ""},
	} {
		shared, err := fleet.New(fleet.Config{Issuer: test.issuer, Store: store, Key: keyOf(secret)})
		if err != nil {
			t.Fatal(err)
		}
		source, err := tokensource.New(tokensource.Config{Issuer: shared})
		if err != nil {
			t.Fatal(err)
		}
		token, err := source.Token(t.Context(), acct(t, 1))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		serials[test.name], shares[test.name] = token.Reveal(), test.shares
		for other, value := range serials {
			same := other == test.shares || test.shares != "" && shares[other] == test.shares
			if equal := value == token.Reveal(); other != test.name && equal != same {
				t.Errorf("%s has the token of %s: %v", test.name, other, equal)
			}
		}
	}
}
