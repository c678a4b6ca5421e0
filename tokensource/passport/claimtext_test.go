// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// Such a text looks like a wrong key to an endpoint.
func TestOpenID_ValidateRefusesTexts(t *testing.T) {
	fields := map[string]func(*passport.OpenID) *string{
		"Issuer": func(o *passport.OpenID) *string { return &o.Issuer }, "Subject": func(o *passport.OpenID) *string { return &o.Subject },
		"Audience": func(o *passport.OpenID) *string { return &o.Audience }, "TenantID": func(o *passport.OpenID) *string { return &o.TenantID },
		"Group": func(o *passport.OpenID) *string { return &o.Group }, "OrganizationUID": func(o *passport.OpenID) *string { return &o.OrganizationUID },
		"KeyID": func(o *passport.OpenID) *string { return &o.KeyID }, "TokenPath": func(o *passport.OpenID) *string { return &o.TokenPath },
	}
	for name, field := range fields {
		for _, text := range []string{"x\n", "x\r\n", " x", "x ", "x\xff", "\ufeffx", "x\x00", "\u00a0x", "\n"} {
			o := openIDIssuer("https://pismo.example", passport.SignerKey(keyOne()))
			*field(o) = text
			if err := o.Validate(); err == nil || strings.Count(err.Error(), "OpenID.") != 1 || !strings.Contains(err.Error(), "OpenID."+name+": ") {
				t.Errorf("%s %q: got error %v, want one fault of the field", name, text, err)
			}
		}
	}
	for _, path := range []string{"https://other.example/token", "a?b", "a#b", "../token", "a/../../b", "a/./b", "a%2e%2e", `a\b`} {
		o := openIDIssuer("https://pismo.example", passport.SignerKey(keyOne()))
		if o.TokenPath = path; !strings.Contains(fmt.Sprint(o.Validate()), "OpenID.TokenPath: is not a path") {
			t.Errorf("the path %q is valid", path)
		}
	}
	o := openIDIssuer("https://pismo.example", passport.SignerKey(keyOne()))
	o.Issuer, o.UID = "Pismo Öffnung", func(tokensource.Account) string { return "42\n" }
	if err := o.Validate(); err != nil {
		t.Errorf("a text with a space inside is not valid: %v", err)
	}
	_, err := o.Issue(t.Context(), external(t, "ext-42"))
	wantKind(t, err, tokensource.ErrMisconfigured)
	if !strings.Contains(err.Error(), "OpenID.UID") {
		t.Errorf("the error does not name OpenID.UID: %v", err)
	}
}
