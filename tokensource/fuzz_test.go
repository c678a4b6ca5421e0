// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// headerSafe matches a b64token of RFC 6750. Each segment may have padding.
var headerSafe = regexp.MustCompile(`\A(?:[A-Za-z0-9_~+/-]+=*)?(?:\.(?:[A-Za-z0-9_~+/-]+=*)?)*\z`)

// accountDigits matches the id of an account in plain digits.
var accountDigits = regexp.MustCompile(`\A0*[1-9][0-9]*\z`)

func FuzzGrant(f *testing.F) {
	for _, grant := range malformed {
		f.Add(grant.Token.Reveal(), int64(grant.ExpiresIn), "", "", "42")
	}
	for _, claims := range []string{
		`{"iat":1700000000,"exp":1700000600}`, `{"iat":0.1,"exp":0.2}`, `{"account_id":42,"aid":"42"}`, `{"account-id":null}`, `null`, `{} {}`,
	} {
		f.Add(jwtOf(claims), int64(0), "42", "", "42")
		f.Add(jwtOf(claims), int64(0), "", "", "")
	}
	f.Add("opaque", int64(time.Hour), "7", "ext", "8")
	f.Fuzz(func(t *testing.T, token string, expiresIn int64, internal, external, id string) {
		account, err := tokensource.ParseAccountID(id)
		if err != nil {
			account = tokensource.Organization()
		}
		grant := opaque(token, time.Duration(expiresIn))
		grant.AccountID, grant.ExternalAccountID = internal, external
		life, err := grant.Verify(account)
		if err != nil {
			if !errors.Is(err, tokensource.ErrMalformedResponse) && !errors.Is(err, tokensource.ErrAccountMismatch) {
				t.Fatalf("the error has an unexpected kind: %v", err)
			}
			if len(token) > 12 && strings.Contains(err.Error(), token) {
				t.Fatalf("the error shows the token: %v", err)
			}
			return
		}
		if token == "" || !headerSafe.MatchString(token) {
			t.Errorf("%q is accepted", token)
		}
		if life <= 0 || life > time.Hour {
			t.Errorf("a lifetime of %v is accepted", life)
		}
		if account.Kind() == tokensource.KindAccount && namesAccount(internal) && !sameNumber(internal, id) {
			t.Errorf("the token of account %q is accepted for %q", internal, id)
		}
		// A text in place of the account names the organization.
		if account == tokensource.Organization() && (accountDigits.MatchString(internal) || namesAccount(external)) {
			t.Errorf("the token of account %q, %q is accepted for the organization", internal, external)
		}
	})
}

// namesAccount reports whether an identifier in a response names an account. An
// empty identifier and zero, in any notation, do not.
func namesAccount(id string) bool { return id != "" && !sameNumber(id, "0") }

// sameNumber reports whether two texts are the same number or equal texts.
func sameNumber(a, b string) bool {
	x, _, errX := big.ParseFloat(a, 10, 256, big.ToNearestEven)
	y, _, errY := big.ParseFloat(b, 10, 256, big.ToNearestEven)
	return a == b || errX == nil && errY == nil && x.Cmp(y) == 0
}

func FuzzParseAccountID(f *testing.F) {
	for _, id := range []string{"1", "0", "01", "-1", "+1", "9223372036854775807", "9223372036854775808", "1_0", " 1", "１"} {
		f.Add(id)
	}
	canonical := regexp.MustCompile(`\A[1-9][0-9]*\z`)
	limit := new(big.Int).Lsh(big.NewInt(1), 63)
	f.Fuzz(func(t *testing.T, id string) {
		n, ok := new(big.Int).SetString(id, 10)
		want := ok && canonical.MatchString(id) && n.Cmp(limit) < 0
		account, err := tokensource.ParseAccountID(id)
		if want != (err == nil) {
			t.Fatalf("%q: got error %v, want valid %v", id, err, want)
		}
		if want && (account.ID() != id || account.Kind() != tokensource.KindAccount) {
			t.Fatalf("%q became %q, a %v", id, account.ID(), account.Kind())
		}
	})
}
