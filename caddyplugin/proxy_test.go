package caddyplugin_test

import (
	"net/http"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// byHeader has a site act for the account that a header names.
const byHeader = `pismo_proxy $PISMO {
	account_header X-Account [0-9]+
}`

func TestEachAccountGetsItsOwnTokenAndOneOnly(t *testing.T) {
	s := newSetup(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	for range 3 {
		wantStatus(t, s.get(alice, with("X-Account", alice)), http.StatusOK)
		wantStatus(t, s.get(bob, with("X-Account", bob)), http.StatusOK)
		wantStatus(t, s.get(bob, with("X-Account", alice)), http.StatusUnauthorized)
	}
	if counts := s.pismo.Counts(); counts.Issued != 2 {
		t.Errorf("%d tokens for two accounts", counts.Issued)
	}
}

func TestARevokedTokenIsRenewedAndTheRequestReplayed(t *testing.T) {
	s := newSetup(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	wantStatus(t, s.get(alice, with("X-Account", alice)), http.StatusOK)
	s.pismo.RevokeAll()
	wantStatus(t, s.send(http.MethodPost, "/v1/payments", `{"amount":100}`, with("X-Account", alice)), http.StatusCreated)
	if counts := s.pismo.Counts(); counts.Issued != 2 {
		t.Errorf("%d tokens, want 2", counts.Issued)
	}
}
