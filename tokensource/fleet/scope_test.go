// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

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
	serials := map[string]string{}
	for _, test := range []struct {
		name   string
		issuer tokensource.Issuer
		shares string // the name of the issuer whose token it shares
	}{
		{"OpenID", issuer(same), ""},
		{"another process", issuer(same), "OpenID"},
		{"another group", issuer(func(o *passport.OpenID) { o.Group = "pismo-v1:orgs:rw" }), ""},
		{"server key and secret", pismo.Issuer(), ""},
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
		serials[test.name] = token.Reveal()
		for other, value := range serials {
			if equal := value == token.Reveal(); other != test.name && equal != (other == test.shares) {
				t.Errorf("%s has the token of %s: %v", test.name, other, equal)
			}
		}
	}
}
