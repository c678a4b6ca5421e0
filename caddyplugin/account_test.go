// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// basicAuth authenticates alice and bob.
func basicAuth(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("basic_auth {\n alice %[1]s\n bob %[1]s\n}", passwordHash(t))
}

// passwordHash returns the hash of the password that all users have.
func passwordHash(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func asUser(user string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, "secret") }
}

func TestAccount_UserReachesOnlyItsOwn(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", basicAuth(t)+`
	map {http.auth.user.id} {account} {
		alice `+alice+`
		bob   `+bob+`
	}
	pismo_proxy $PISMO {
		account {account}
	}`))
	for range 2 {
		wantStatus(t, s.get(alice, asUser("alice")), http.StatusOK)
		wantStatus(t, s.get(bob, asUser("bob")), http.StatusOK)
		wantStatus(t, s.get(alice, asUser("bob")), http.StatusUnauthorized)
		wantStatus(t, s.get(alice), http.StatusUnauthorized)
	}
	if counts := s.pismo.Counts(); counts.Issued != 2 || counts.TotalRefused() != 2 {
		t.Errorf("%d tokens were issued, want 2; %v refused", counts.Issued, counts.Refused)
	}
}

// A user without a valid account must reach neither the platform nor the token
// endpoint.
func TestAccount_MissingIsForbidden(t *testing.T) {
	for name, test := range map[string]struct{ mapping, options string }{
		"none":               {"bob " + bob, "account {account}"},
		"empty":              {`alice ""`, "account {account}"},
		"unknown":            {"", "account {vars.nothing}"},
		"not a number":       {"alice me", "account {account}"},
		"the organization":   {"alice organization", "account {account}"},
		"not canonical":      {`alice "0` + alice + `"`, "account {account}"},
		"not of the pattern": {"alice " + alice, "account {account}\naccount_pattern 2[0-9]*"},
		"only in part":       {"alice " + alice, "account {account}\naccount_pattern 1|10"},
		"rounded":            {"alice 9007199254740993", "account {account}"},
		"rounded far":        {"alice 1234567890123456789", "account {account}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", basicAuth(t)+`
	map {http.auth.user.id} {account} {
		`+test.mapping+`
	}
	pismo_proxy $PISMO {
		`+test.options+`
	}`))
			wantProblem(t, s.get(alice, asUser("alice")), http.StatusForbidden, "account-forbidden")
			if counts := s.pismo.Counts(); counts.TokenRequests+counts.ResourceRequests != 0 {
				t.Errorf("the platform got requests: %+v", counts)
			}
		})
	}
}

// A number in the configuration from 2^53 loses its last digits, and would name
// another account. A text keeps all digits.
func TestAccount_LongIDs(t *testing.T) {
	const exact = "9007199254740994" // 2^53 + 2, which a float64 represents exactly
	for name, test := range map[string]struct {
		mapping string
		id      string // empty if the request must fail
	}{
		"quoted":                {`alice "1234567890123456789"`, "1234567890123456789"},
		"quoted, even":          {`alice "` + exact + `"`, exact},
		"quoted, odd":           {`alice "9007199254740995"`, "9007199254740995"},
		"quoted, round":         {`alice "100000000000000000"`, "100000000000000000"},
		"backquoted":            {"alice `" + exact + "`", exact},
		"by a pattern":          {`~^(a)lice$ "` + exact + `"`, exact},
		"the default":           {`default ` + exact, exact},
		"a number":              {"alice " + exact, ""},
		"a number by a pattern": {"~^alice$ 9007199254740993", ""},
		"a number of another":   {"alice \"9007199254740992\"\nbob 9007199254740993", ""},
		"below 2^53":            {"alice 9007199254740991", "9007199254740991"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", basicAuth(t)+`
	map {http.auth.user.id} {account} {
		`+test.mapping+`
	}
	pismo_proxy $PISMO {
		account {account}
	}`))
			r := s.get(test.id, asUser("alice"))
			if test.id == "" {
				wantProblem(t, r, http.StatusForbidden, "account-forbidden")
			} else {
				wantStatus(t, r, http.StatusOK)
			}
		})
	}
}

func TestAccount_LongVariables(t *testing.T) {
	for value, status := range map[string]int{"9007199254740994": http.StatusForbidden, `"9007199254740994"`: http.StatusOK, alice: http.StatusOK} {
		s := newFixture(t, passporttest.Config{})
		s.start(s.caddyfile("", "vars account "+value+"\npismo_proxy $PISMO {\n account {vars.account}\n}"))
		wantStatus(t, s.send(http.MethodPost, "/v1/payments", "{}"), map[int]int{http.StatusOK: http.StatusCreated, http.StatusForbidden: http.StatusForbidden}[status])
	}
}

// The account may be an id, or the word organization.
func TestAccount_MayBeFixed(t *testing.T) {
	for account, want := range map[string]string{"organization": "", alice: alice} {
		s := newFixture(t, passporttest.Config{})
		s.start(s.caddyfile("", "pismo_proxy $PISMO {\n account "+account+"\n}"))
		wantStatus(t, s.send(http.MethodPost, "/v1/payments", "{}"), http.StatusCreated)
		if deliveries := s.pismo.Deliveries(); len(deliveries) != 1 || deliveries[0].Account != want {
			t.Errorf("%s: got the deliveries %+v, want one for the account %q", account, deliveries, want)
		}
	}
}

// A forged spelling of the header is refused.
func TestAccountHeader_IsStripped(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", `route {
		pismo_auth {
			account_header X-Account [0-9]+
		}
		respond "{http.request.header.X-Account}|{http.request.header.Authorization}|{http.pismo.account.kind}|{http.pismo.token.serial}|{http.pismo.token.expires_in}"
	}`))
	r := s.get(alice, withField("X-Account", alice), withField("Authorization", "Bearer mine"))
	if parts := strings.Split(r.body, "|"); len(parts) != 5 || parts[0] != "" || parts[1] != "" || parts[2] != "account" || parts[3] != "1" || (parts[4] != "599" && parts[4] != "600") {
		t.Errorf("later handlers see %q", r.body)
	}
	for name, edits := range map[string][]func(*http.Request){
		"only twin":  {func(r *http.Request) { r.Header["X_account"] = []string{bob} }},
		"twice":      {func(r *http.Request) { r.Header["X-Account"] = []string{alice, bob} }},
		"no number":  {withField("X-Account", "organization")},
		"not at all": {},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, s.get(alice, edits...), http.StatusForbidden, "account-forbidden")
		})
	}
}

// A client's own Authorization must not reach the platform.
func TestUpstream_GetsOneAuthorization(t *testing.T) {
	for name, site := range map[string]string{
		"pismo_proxy":         byHeader,
		"pismo_auth":          "pismo_auth {\n account_header X-Account [0-9]+\n}\nreverse_proxy $PISMO {\n transport pismo\n}",
		"pismo_auth, injects": "pismo_auth {\n account_header X-Account [0-9]+\n inject\n}\nreverse_proxy $PISMO {\n transport pismo\n}",
		"injected only":       "pismo_auth {\n account_header X-Account [0-9]+\n inject\n}\nreverse_proxy $PISMO",
		"transport pismo":     "reverse_proxy $PISMO {\n header_up Authorization \"Bearer wrong\"\n transport pismo {\n account " + alice + "\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.start(s.caddyfile("", site))
			for _, edits := range [][]func(*http.Request){
				{withField("X-Account", alice)},
				{withField("X-Account", alice), withField("Authorization", "Bearer mine")},
				{withField("X-Account", alice), asUser("alice")},
			} {
				wantStatus(t, s.get(alice, edits...), http.StatusOK) // The fake server refuses two fields and an invalid token.
			}
		})
	}
}

// The placeholders contain neither the token nor the account.
func TestPlaceholders_DescribeLastToken(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", `route {
		pismo_auth {
			account organization
		}
		pismo_auth {
			account `+alice+`
		}
		respond "{http.pismo.account.kind}|{http.pismo.token.serial}|{http.vars.pismo.token}"
	}`))
	if r := s.get(alice); !strings.HasPrefix(r.body, "account|2|") || strings.Contains(r.body, alice) || strings.Contains(r.body, "eyJ") {
		t.Errorf("later handlers see %q", r.body)
	}
}
