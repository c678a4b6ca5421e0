// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
)

// These values must never be printed. An account's id is personal data.
const (
	leakedToken   = "SENTINEL-token"
	leakedAccount = "4711081547110815"
)

// leakedAccountHex is the id as %x prints a number.
var leakedAccountHex = strconv.FormatInt(4711081547110815, 16)

func TestFormat_ShowsNoSecretOrAccount(t *testing.T) {
	account, err := tokensource.ParseAccountID(leakedAccount)
	if err != nil {
		t.Fatal(err)
	}
	external, err := tokensource.ExternalAccountID(leakedAccount)
	if err != nil {
		t.Fatal(err)
	}
	grant := opaque(leakedToken, 0)
	src := newSource(t, issuerFunc(func(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
		if account == external {
			return tokensource.Grant{}, tokensource.NewError(tokensource.ErrUnavailable, fmt.Errorf("%s", leakedToken))
		}
		return grant, nil
	}))
	one := src.ForAccount(account)
	tok, err := one.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.Token(t.Context(), external)
	failure := wantKind(t, err, tokensource.ErrUnavailable)

	// The values are in exported and unexported fields, by value and by pointer.
	// Package fmt calls the methods of a value only if it can reach the value.
	type fields struct {
		Token   *tokensource.Token
		Secret  tokensource.Secret
		Account tokensource.Account
		Grant   tokensource.Grant
		Err     error
		Any     any
		token   *tokensource.Token
		secret  tokensource.Secret
		account tokensource.Account
		other   tokensource.Account
		grant   tokensource.Grant
		failure *tokensource.Error
		err     error
		any     any
		source  *tokensource.Source
		one     *tokensource.AccountSource
		secrets []tokensource.Secret
		byName  map[string]tokensource.Secret
		ids     map[tokensource.Account]*tokensource.Token
		pointer *tokensource.Secret
		self    *fields
		config  tokensource.Config
	}
	f := fields{
		tok, grant.Token, account, grant, failure, tok, tok, grant.Token, account, external, grant, failure, failure, tok, src, one,
		[]tokensource.Secret{grant.Token}, map[string]tokensource.Secret{"a": grant.Token},
		map[tokensource.Account]*tokensource.Token{account: tok}, &grant.Token, nil, tokensource.Config{Issuer: granting(grant)},
	}
	f.self = &f
	withoutSelf := f
	withoutSelf.self = nil

	for what, value := range map[string]any{
		"a token":                 tok,
		"a token's value":         reflect.ValueOf(tok).Elem().Interface(), // As a printer can copy it.
		"a secret":                grant.Token,
		"a pointer to a secret":   &grant.Token,
		"an account":              account,
		"a pointer to an account": &account,
		"an external account":     external,
		"a grant":                 grant,
		"a pointer to a grant":    &grant,
		"an error":                failure,
		"an error's value":        *failure,
		"a source":                src,
		"a handle":                one,
		"an oauth2 source":        src.OAuth2(account),
		"a struct":                withoutSelf,
		"a pointer to a struct":   &withoutSelf,
		"a slice":                 []any{tok, grant.Token, account, failure},
		"a slice of structs":      []fields{withoutSelf},
		"a map":                   map[string]any{"a": tok, "b": grant.Token, "c": account, "d": withoutSelf},
		"a context":               tokensource.ContextWithAccount(t.Context(), account),
	} {
		wantHidden(t, what, value, leakedToken)
		wantHidden(t, what, value, leakedAccount)
		wantHidden(t, what, value, leakedAccountHex)
	}
}
