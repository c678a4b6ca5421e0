package tokensource_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestParseAccountID_AcceptsOneSpelling(t *testing.T) {
	tests := map[string]bool{
		"1":                    true,
		"102681871":            true,
		"9223372036854775807":  true, // 2^63 − 1
		"9223372036854775808":  false,
		"18446744073709551617": false, // 2^64 + 1, which must not become 1
		"":                     false,
		"0":                    false,
		"00":                   false,
		"01":                   false,
		"-1":                   false,
		"+1":                   false,
		" 1":                   false,
		"1 ":                   false,
		"1\n":                  false,
		"1_000":                false,
		"1.0":                  false,
		"1e3":                  false,
		"0x1":                  false,
		"１":                    false, // a full-width digit
		"null":                 false,
	}
	for id, valid := range tests {
		account, err := tokensource.ParseAccountID(id)
		switch {
		case valid && (err != nil || account.ID() != id || account.Kind() != tokensource.KindAccount):
			t.Errorf("%q: got id %q, kind %q, error %v", id, account.ID(), account.Kind(), err)
		case !valid && (err == nil || account != tokensource.Account{}):
			t.Errorf("%q is accepted", id)
		case !valid && !errors.Is(err, tokensource.ErrMisconfigured):
			t.Errorf("%q: got error %v, want one of kind misconfigured", id, err)
		}
	}
}

func TestParseAccountID_HidesTheIDInErrors(t *testing.T) {
	const id = "0102681871"
	if _, err := tokensource.ParseAccountID(id); strings.Contains(err.Error(), id) {
		t.Errorf("the error repeats the id: %v", err)
	}
	if _, err := tokensource.ExternalAccountID(id + "\n"); strings.Contains(err.Error(), id) {
		t.Errorf("the error repeats the external id: %v", err)
	}
}

func TestExternalAccountID_IsPrintable(t *testing.T) {
	tests := map[string]bool{
		"a":                      true,
		"customer 4711/ß"[:14]:   true,
		strings.Repeat("x", 256): true,
		strings.Repeat("x", 257): false,
		"":                       false,
		"a\nb":                   false,
		"a\x00b":                 false,
		"a\x7fb":                 false,
		"grün":                   false,
	}
	for id, valid := range tests {
		account, err := tokensource.ExternalAccountID(id)
		if valid != (err == nil) {
			t.Errorf("%q: got error %v", id, err)
		}
		if valid && (account.ID() != id || account.Kind() != tokensource.KindExternalAccount) {
			t.Errorf("%q: got id %q, kind %q", id, account.ID(), account.Kind())
		}
	}
}

func TestAccount_KindsDiffer(t *testing.T) {
	internal := acct(t, 7)
	external, err := tokensource.ExternalAccountID("7")
	if err != nil {
		t.Fatal(err)
	}
	different := []tokensource.Account{{}, tokensource.Organization(), internal, external}
	for i, a := range different {
		for j, b := range different {
			if (a == b) != (i == j) {
				t.Errorf("accounts of kinds %v and %v: equal is %v", a, b, a == b)
			}
		}
	}
	if again := tokensource.Organization(); internal != acct(t, 7) || different[1] != again {
		t.Error("an account is not equal to itself")
	}
}

func TestAccount_ZeroIsInvalid(t *testing.T) {
	var zero tokensource.Account
	if zero.Kind() != tokensource.KindInvalid || zero.ID() != "" || zero.String() != "invalid" {
		t.Errorf("got kind %q, id %q, text %q", zero.Kind(), zero.ID(), zero)
	}
}
