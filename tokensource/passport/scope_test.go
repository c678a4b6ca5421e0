// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// Processes that share their tokens must not mix up tokens of two groups,
// tenants or environments.
func TestScope_DiffersWithEachValue(t *testing.T) {
	base := func() *passport.OpenID { return openIDIssuer("https://a.example", passport.SignerKey(keyOne())) }
	if base().Scope() != base().Scope() {
		t.Error("equal issuers have different scopes")
	}
	scopes := map[string]string{base().Scope(): "OpenID", (&passport.S2S{BaseURL: "https://a.example"}).Scope(): "S2S"}
	for name, edit := range map[string]func(*passport.OpenID){
		"base URL":  func(o *passport.OpenID) { o.BaseURL = "https://b.example" },
		"path":      func(o *passport.OpenID) { o.TokenPath = "v1/oauth2/token" },
		"issuer":    func(o *passport.OpenID) { o.Issuer = "other" },
		"subject":   func(o *passport.OpenID) { o.Subject = "other" },
		"audience":  func(o *passport.OpenID) { o.Audience = "other" },
		"tenant":    func(o *passport.OpenID) { o.TenantID = "other" },
		"group":     func(o *passport.OpenID) { o.Group = "pismo-v1:orgs:rw" },
		"swapped":   func(o *passport.OpenID) { o.TenantID, o.Group = o.Group, o.TenantID },
		"separator": func(o *passport.OpenID) { o.Issuer, o.Subject = o.Issuer+"\" \"", "" },
	} {
		o := base()
		edit(o)
		if other, ok := scopes[o.Scope()]; ok {
			t.Errorf("%s has the scope of %s", name, other)
		}
		scopes[o.Scope()] = name
	}
}
