// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// newClient returns a client that authenticates its requests like a program.
func newClient(t *testing.T, s *passporttest.Server) *http.Client {
	t.Helper()
	rt, err := transport.New(transport.Config{
		Source:  newSource(t, s),
		Hosts:   []string{s.Host()},
		Account: account(t, "1"),
		Base:    s.Client().Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: rt}
}

func getAccount(t *testing.T, s *passporttest.Server, client *http.Client) int {
	t.Helper()
	a, err := send(t, client, request(t, s, http.MethodGet, "/v1/accounts/1", ""))
	if err != nil {
		t.Fatal(err)
	}
	return a.status
}

// A test may revoke tokens in an endless loop if each round takes
// RevocationInterval.
func TestServer_RevocationsInALoop(t *testing.T) {
	for name, config := range map[string]passporttest.Config{
		"default": {}, "opaque": {Opaque: true, Lifetime: time.Minute}, "a minute": {Lifetime: time.Minute}, "a day": {Lifetime: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := passporttest.NewInProcess(t, config)
				client := newClient(t, s)
				const rounds = 20
				for round := range rounds {
					s.Revoke("1")
					if status := getAccount(t, s, client); status != http.StatusOK {
						t.Fatalf("round %d: got status %d, want 200", round, status)
					}
					time.Sleep(s.RevocationInterval())
				}
				check(t, "refused", s.Counts().TotalRefused(), rounds-1)
			})
		})
	}
}

// Without waits, the client has its documented budget.
func TestServer_RevocationsInARow(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	client := newClient(t, s)
	check(t, "status", getAccount(t, s, client), http.StatusOK)
	for _, want := range []int{200, 200, 200, 401} {
		s.Revoke("1")
		check(t, "status", getAccount(t, s, client), want)
	}
}

func TestServer_RevocationInterval(t *testing.T) {
	for _, test := range []struct {
		config passporttest.Config
		want   time.Duration
	}{
		{passporttest.Config{}, 10 * time.Second},
		{passporttest.Config{Lifetime: time.Minute}, time.Second},
		{passporttest.Config{Lifetime: 48 * time.Hour}, time.Minute},
		{passporttest.Config{Lifetime: time.Minute, Opaque: true}, 10 * time.Second},
	} {
		check(t, "interval", passporttest.NewInProcess(t, test.config).RevocationInterval(), test.want)
	}
}

func TestServer_NewTokenRevokesOld(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{NewTokenRevokesOld: true})
	first, second := newSource(t, s), newSource(t, s)
	old, err := first.Token(t.Context(), account(t, "1"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := first.Token(t.Context(), account(t, "2"))
	if err != nil {
		t.Fatal(err)
	}
	newest, err := second.Token(t.Context(), account(t, "1"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status of the old token", get(t, s, old.Reveal(), "/v1/accounts/1"), http.StatusUnauthorized)
	check(t, "status of the new token", get(t, s, newest.Reveal(), "/v1/accounts/1"), http.StatusOK)
	check(t, "status of another account's", get(t, s, other.Reveal(), "/v1/accounts/2"), http.StatusOK)
	check(t, "issued for the account", s.Counts().Accounts["1"].Issued, 2)
}
