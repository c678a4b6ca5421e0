// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestServer_TokensAreAccepted(t *testing.T) {
	for name, config := range map[string]func() passporttest.Config{
		"2025":   zeroConfig,
		"2022":   func() passporttest.Config { return passporttest.Config{TokenFormat: passporttest.TokenFormat2022} },
		"opaque": func() passporttest.Config { return passporttest.Config{Opaque: true} },
		"short":  func() passporttest.Config { return passporttest.Config{Lifetime: 1500 * time.Millisecond} },
		"skewed": func() passporttest.Config { return passporttest.Config{ClockSkew: 24 * time.Hour} },
	} {
		t.Run(name, func(t *testing.T) {
			forEachServer(t, config, func(t *testing.T, s *passporttest.Server) {
				src := newSource(t, s)
				for _, a := range []tokensource.Account{account(t, "1"), tokensource.Organization()} {
					for range 2 {
						tok, err := src.Token(t.Context(), a)
						if err != nil {
							t.Fatal(err)
						}
						check(t, "status", get(t, s, tok.Reveal(), "/v1/accounts/1"), http.StatusOK)
					}
				}
				check(t, "issued", s.Counts().Issued, 2)
			})
		})
	}
}

func TestServer_BareTokens(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Bare: true})
	tok, err := newSource(t, s).Token(t.Context(), account(t, "1"))
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, s, http.MethodGet, "/v1/accounts/1", "")
	tok.SetAuthHeader(r.Header)
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", a.status, http.StatusOK)
}

func TestRevoke_SourceRenews(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	src := newSource(t, s)
	tok, err := src.Token(t.Context(), account(t, "1"))
	if err != nil {
		t.Fatal(err)
	}
	s.Revoke("1")
	check(t, "status when revoked", get(t, s, tok.Reveal(), "/v1/accounts/1"), http.StatusUnauthorized)
	if tok, err = src.Renew(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	check(t, "status when renewed", get(t, s, tok.Reveal(), "/v1/accounts/1"), http.StatusOK)
}

func TestFault_EachHasItsErrorKind(t *testing.T) {
	for _, tt := range []struct {
		fault passporttest.Fault
		kind  tokensource.ErrorKind
	}{
		{passporttest.Status(500), tokensource.ErrUnavailable},
		{passporttest.Status(503), tokensource.ErrUnavailable},
		{passporttest.RateLimited(time.Second), tokensource.ErrRateLimited},
		{passporttest.Reset(), tokensource.ErrUnavailable},
		{passporttest.Hang(), tokensource.ErrTimeout},
		{passporttest.HTML(403), tokensource.ErrUnavailable},
		{passporttest.Body(403, "", ""), tokensource.ErrUnavailable},
		{passporttest.Redirect307("https://elsewhere.invalid/"), tokensource.ErrMalformedResponse},
		{passporttest.Truncated(), tokensource.ErrUnavailable},
		{passporttest.SlowHeaders(time.Minute), tokensource.ErrTimeout},
		{passporttest.Oversized(0), tokensource.ErrMalformedResponse},
		{passporttest.WrongAccount("2"), tokensource.ErrAccountMismatch},
		{passporttest.WrongAccountInToken("2"), tokensource.ErrAccountMismatch},
		{passporttest.WrongAccountInAnswer("2"), tokensource.ErrAccountMismatch},
		{passporttest.Malformed(passporttest.NotJSON), tokensource.ErrMalformedResponse},
		{passporttest.Malformed(passporttest.EmptyToken), tokensource.ErrMalformedResponse},
		{passporttest.Malformed(passporttest.TokenWithNewline), tokensource.ErrMalformedResponse},
		{passporttest.Malformed(passporttest.ExpiredBeforeIssued), tokensource.ErrMalformedResponse},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := passporttest.NewInProcess(t, passporttest.Config{})
				s.FailAlways(tt.fault)
				src := newSource(t, s)
				tok, err := src.Token(t.Context(), account(t, "1"))
				if !errors.Is(err, tt.kind) {
					t.Errorf("got %v and %v, want %v", tok, err, tt.kind)
				}
				s.Heal()
				<-time.After(time.Minute)
				if _, err := src.Token(t.Context(), account(t, "1")); err != nil {
					t.Errorf("after Heal: got error %v, want a token", err)
				}
			})
		})
	}
}

// A Source accepts a token that may be valid. Only the platform can judge the
// token.
func TestMalformed_UnjudgedTokensAccepted(t *testing.T) {
	for _, m := range []passporttest.Malformation{passporttest.UndecodableToken, passporttest.ExpiresNever} {
		s := passporttest.NewServer(t, passporttest.Config{})
		s.FailAlways(passporttest.Malformed(m))
		tok, err := newSource(t, s).Token(t.Context(), account(t, "1"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, string(m), get(t, s, tok.Reveal(), "/v1/accounts/1"), http.StatusUnauthorized)
	}
}

func TestMixUp_NoCallerGetsAToken(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.FailAlways(passporttest.MixUp())
	src := newSource(t, s)
	errs := make(chan error)
	for _, id := range []string{"1", "2"} {
		go func() {
			_, err := src.Token(t.Context(), account(t, id))
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, tokensource.ErrAccountMismatch) {
			t.Errorf("the error is %v, want %v", err, tokensource.ErrAccountMismatch)
		}
	}
}
