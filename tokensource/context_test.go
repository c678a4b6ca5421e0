// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestContextWithAccount_CarriesAnAccount(t *testing.T) {
	if account, ok := tokensource.AccountFromContext(context.Background()); ok {
		t.Errorf("a bare context carries %v", account)
	}
	want := acct(t, 7)
	ctx := tokensource.ContextWithAccount(t.Context(), tokensource.Organization())
	ctx = tokensource.ContextWithAccount(ctx, want)
	if account, ok := tokensource.AccountFromContext(ctx); !ok || account != want {
		t.Errorf("got %v (id %q), %v", account, account.ID(), ok)
	}
}

func TestContextWithToken_CarriesAToken(t *testing.T) {
	if tok, ok := tokensource.ForwardedTokenFromContext(context.Background()); ok {
		t.Errorf("a bare context carries %v", tok)
	}
	want := token(t, newSource(t, &fakeIssuer{}), acct(t, 7))
	if tok, ok := tokensource.ForwardedTokenFromContext(tokensource.ContextWithForwardedToken(t.Context(), want)); !ok || tok != want {
		t.Errorf("got %v, found is %v, want %v", tok, ok, want)
	}
}
