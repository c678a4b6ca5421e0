// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
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
			t.Errorf("%q: got error %v, want valid %v", id, err, valid)
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
				t.Errorf("accounts of kinds %v and %v: equal is %v, want %v", a, b, a == b, i == j)
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

func TestAccount_KeepsItsID(t *testing.T) {
	ids := []int64{1, 2, 10, 1 << 31, 1 << 32, 1<<62 - 1, 1 << 62, math.MaxInt64}
	for range 10_000 {
		ids = append(ids, rand.Int64N(math.MaxInt64)+1)
	}
	for _, id := range ids {
		if text := strconv.FormatInt(id, 10); acct(t, id).ID() != text || acct(t, id).Kind() != tokensource.KindAccount {
			t.Fatalf("account %s: got id %s, kind %v", text, acct(t, id).ID(), acct(t, id).Kind())
		}
	}
}

// A printer that reads unexported fields finds a number in an Account. It must
// say nothing about the id: neither in any base, nor next to the number of
// another account.
func TestAccount_HoldsNoPlainID(t *testing.T) {
	const id, other = 4711081547110815, 4711081547110814
	hidden := func(id int64) uint64 { return reflect.ValueOf(acct(t, id)).Field(0).Uint() }
	a, b := hidden(id), hidden(other)
	for what, number := range map[string]uint64{"itself": a, "XOR": a ^ b ^ other, "difference": a - b + other} {
		if number == id {
			t.Errorf("the number of an account shows the id (%s)", what)
		}
	}
	// Accounts are far apart in all bits, because the number is also their hash.
	for bit := range 64 {
		ones := 0
		for i := range int64(1000) {
			ones += int(hidden(id+i) >> bit & 1)
		}
		if ones == 0 || ones == 1000 {
			t.Errorf("bit %d is %d in 1000 of 1000 accounts", bit, ones/1000)
		}
	}
}

// A look-up compares and hashes accounts of 16 bytes, whatever their kind.
func TestAccount_IsTwoWords(t *testing.T) {
	if size := reflect.TypeFor[tokensource.Account]().Size(); size > 16 {
		t.Errorf("an Account has %d bytes, want at most 16", size)
	}
}
