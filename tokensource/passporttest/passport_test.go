// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestPassport_AnswerHasEveryField(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		a := requestToken(t, s, "102681871")
		check(t, "status", a.status, http.StatusCreated)
		check(t, "content type", a.header.Get("Content-Type"), "application/json")
		check(t, "account_id", a.field(t, "account_id"), any(json.Number("102681871")))
		check(t, "external_account_id", a.field(t, "external_account_id"), any("external-102681871"))
		check(t, "server_key", a.field(t, "server_key"), any(s.ServerKey()))
		check(t, "refresh", a.field(t, "refresh"), a.field(t, "token"))
		check(t, "number of roles", len(a.field(t, "roles").([]any)), 3)
		check(t, "number of programs", len(a.field(t, "program_ids").([]any)), 3)
		if !regexp.MustCompile(`^TN-[0-9a-f-]{36}$`).MatchString(a.field(t, "tenant").(string)) {
			t.Errorf("tenant is %v, want TN- and a UUID", a.field(t, "tenant"))
		}
		if a.header.Get("X-Cid") == "" {
			t.Error("there is no x-cid")
		}
	})
}

func TestPassport_OrganizationNamesNoAccount(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	a := requestToken(t, s, "")
	check(t, "account_id", a.field(t, "account_id"), nil)
	check(t, "external_account_id", a.field(t, "external_account_id"), nil)
	_, c := claims(t, a.field(t, "token").(string))
	check(t, "account-id", c["account-id"], nil)
	check(t, "aid", c["aid"], nil)
}

func TestPassport_ReturnsTheCorrelationID(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	r := newTokenRequest(t, s, "")
	r.Header.Set("X-Cid", "ticket-42")
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "x-cid", a.header.Get("X-Cid"), "ticket-42")
}

func TestPassport_ClaimsFollowTheFormat(t *testing.T) {
	for _, tt := range []struct {
		vintage passporttest.TokenFormat
		header  string
		claims  string
	}{
		{passporttest.TokenFormat2022, "alg typ", "exp iat iss sub tkver uid"},
		{passporttest.TokenFormat2025, "alg kid typ", "account-id aid exp iat iss roles sub tenant tenant_id tkver token_type uid"},
	} {
		s := passporttest.NewServer(t, passporttest.Config{TokenFormat: tt.vintage})
		header, c := claims(t, newToken(t, s, "102681871"))
		check(t, "header", sortedKeys(header), tt.header)
		check(t, "claims", sortedKeys(c), tt.claims)
		check(t, "alg", header["alg"], any("HS512"))
		check(t, "iss", c["iss"], any("Passport"))
		check(t, "tkver", c["tkver"], any("2"))
		if !strings.HasSuffix(c["uid"].(string), ":"+s.ServerKey()) {
			t.Errorf("uid is %v, want the server key at its end", c["uid"])
		}
		if tt.vintage == passporttest.TokenFormat2025 {
			check(t, "account-id", c["account-id"], any("102681871"))
		}
	}
}

func TestPassport_TokensLiveTenMinutes(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	_, c := claims(t, newToken(t, s, ""))
	iat, exp := integer(t, c["iat"]), integer(t, c["exp"])
	check(t, "exp - iat", exp-iat, 600)
	if age := time.Now().Unix() - iat; age < 0 || age > 60 {
		t.Errorf("iat is %d seconds ago", age)
	}
}

func TestPassport_ClaimsFollowItsClock(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{ClockSkew: -time.Hour})
	_, c := claims(t, newToken(t, s, ""))
	if age := time.Now().Unix() - integer(t, c["iat"]); age < 3600 || age > 3660 {
		t.Errorf("iat is %d seconds ago, want an hour", age)
	}
}

func TestPassport_ShortLivesHaveFractions(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Lifetime: 250 * time.Millisecond})
	_, c := claims(t, newToken(t, s, ""))
	iat, err1 := c["iat"].(json.Number).Float64()
	exp, err2 := c["exp"].(json.Number).Float64()
	if life := exp - iat; err1 != nil || err2 != nil || life < 0.2499 || life > 0.2501 {
		t.Errorf("iat %v and exp %v are %v seconds apart, want 0.25", c["iat"], c["exp"], life)
	}
}

func TestPassport_TokensAreUnique(t *testing.T) {
	for _, opaque := range []bool{false, true} {
		s := passporttest.NewServer(t, passporttest.Config{Opaque: opaque})
		seen := map[string]bool{}
		for range 100 {
			value := newToken(t, s, "1")
			if seen[value] {
				t.Fatal("a token was issued twice")
			}
			seen[value] = true
		}
	}
}

func TestPassport_OpaqueTokensWork(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Opaque: true})
	value := newToken(t, s, "1")
	check(t, "dots", strings.Count(value, "."), 0)
	check(t, "status", get(t, s, value, "/v1/accounts/1"), http.StatusOK)
}

func TestConfig_GeneratesCredentials(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(s.ServerKey()) {
		t.Errorf("the key is %q, want 40 hexadecimal digits", s.ServerKey())
	}
	secret := s.ServerSecret()
	check(t, "length of the secret", len(secret), 32)
	for _, mark := range "$)(;%_&=" {
		if !strings.ContainsRune(secret, mark) {
			t.Errorf("the secret %q has no %c", secret, mark)
		}
	}
	if other := passporttest.NewServer(t, passporttest.Config{}); other.ServerSecret() == secret || other.ServerKey() == s.ServerKey() {
		t.Error("two Servers have the same credentials")
	}
}

func TestConfig_TakesCredentials(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{ServerKey: "key", ServerSecret: `"'$`})
	check(t, "key", s.ServerKey(), "key")
	check(t, "secret", s.ServerSecret(), `"'$`)
	newToken(t, s, "")
}

func TestPassport_RefusesWrongRequests(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{ServerKey: "k", ServerSecret: "s"})
	const credentials = `"server_key":"k","server_secret":"s"`
	for name, tt := range map[string]struct {
		method, contentType, body string
		status                    int
	}{
		"GET":                        {"GET", "application/json", "", 405},
		"PUT":                        {"PUT", "application/json", "{" + credentials + "}", 405},
		"a form":                     {"POST", "application/x-www-form-urlencoded", "server_key=k&server_secret=s", 415},
		"no content type":            {"POST", "", "{" + credentials + "}", 415},
		"no body":                    {"POST", "application/json", "", 400},
		"not JSON":                   {"POST", "application/json", "server_key", 400},
		"an array":                   {"POST", "application/json", "[]", 400},
		"null":                       {"POST", "application/json", "null", 400},
		"something after the object": {"POST", "application/json", "{" + credentials + "}{}", 400},
		"no key":                     {"POST", "application/json", `{"server_secret":"s"}`, 400},
		"no secret":                  {"POST", "application/json", `{"server_key":"k"}`, 400},
		"the old name of the secret": {"POST", "application/json", `{"server_key":"k","secret_key":"s"}`, 400},
		"an empty secret":            {"POST", "application/json", `{"server_key":"k","server_secret":""}`, 400},
		"a secret that is a number":  {"POST", "application/json", `{"server_key":"k","server_secret":1}`, 400},
		"a key in the wrong case":    {"POST", "application/json", `{"Server_Key":"k","server_secret":"s"}`, 400},
		"an account in a string":     {"POST", "application/json", `{` + credentials + `,"account_id":"1"}`, 400},
		"account null":               {"POST", "application/json", `{` + credentials + `,"account_id":null}`, 400},
		"account 0":                  {"POST", "application/json", `{` + credentials + `,"account_id":0}`, 400},
		"account -1":                 {"POST", "application/json", `{` + credentials + `,"account_id":-1}`, 400},
		"account 1.5":                {"POST", "application/json", `{` + credentials + `,"account_id":1.5}`, 400},
		"account 1.0":                {"POST", "application/json", `{` + credentials + `,"account_id":1.0}`, 400},
		"account 1e3":                {"POST", "application/json", `{` + credentials + `,"account_id":1e3}`, 400},
		"account 2^63":               {"POST", "application/json", `{` + credentials + `,"account_id":9223372036854775808}`, 400},
		"a misspelt account":         {"POST", "application/json", `{` + credentials + `,"accountId":1}`, 400},
		"an external account":        {"POST", "application/json", `{` + credentials + `,"external_account_id":"x"}`, 400},
		"too large":                  {"POST", "application/json", `{` + credentials + strings.Repeat(" ", 64<<10) + `}`, 413},
		"a wrong key":                {"POST", "application/json", `{"server_key":"x","server_secret":"s"}`, 401},
		"a wrong secret":             {"POST", "application/json", `{"server_key":"k","server_secret":"x"}`, 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, s, tt.method, tokenPath, tt.body)
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			before := s.Counts()
			a, err := send(t, s.Client(), r)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "status", a.status, tt.status)
			if a.field(t, "message") == nil {
				t.Error("the answer has no message")
			}
			if tt.status == 401 {
				check(t, "body", string(a.body), `{"message":"Invalid credentials"}`)
			}
			if tt.status == 405 {
				check(t, "Allow", a.header.Get("Allow"), "POST")
			}
			after := s.Counts()
			check(t, "rejected", after.Rejected-before.Rejected, 1)
			check(t, "issued", after.Issued-before.Issued, 0)
		})
	}
}

func TestPassport_AcceptsACharset(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	r := newTokenRequest(t, s, "")
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", a.status, http.StatusCreated)
}

func TestPassport_UnknownAccountIsRefused(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Accounts: []string{"1"}})
	check(t, "status of account 1", requestToken(t, s, "1").status, http.StatusCreated)
	check(t, "status of the organization", requestToken(t, s, "").status, http.StatusCreated)
	a := requestToken(t, s, "2")
	check(t, "status of account 2", a.status, http.StatusUnauthorized)
	check(t, "body", string(a.body), `{"message":"Invalid credentials"}`)
}

func TestRotateSecret_KeepsTokens(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	value, old := newToken(t, s, "1"), newTokenRequest(t, s, "1")
	check(t, "result of RotateSecret", s.RotateSecret(), s.ServerSecret())
	a, err := send(t, s.Client(), old)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status with the old secret", a.status, http.StatusUnauthorized)
	check(t, "status with the new secret", requestToken(t, s, "1").status, http.StatusCreated)
	check(t, "status of the old token", get(t, s, value, "/v1/accounts/1"), http.StatusOK)
}

func TestCredentials_TwoPairsOverlap(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	oldKey := s.ServerKey()
	older, again := newTokenRequest(t, s, ""), newTokenRequest(t, s, "")
	key, secret := s.AddKey()
	check(t, "newest key", s.ServerKey(), key)
	check(t, "newest secret", s.ServerSecret(), secret)
	a, err := send(t, s.Client(), older)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status with the old pair", a.status, http.StatusCreated)
	check(t, "server_key", a.field(t, "server_key"), any(oldKey))
	check(t, "status with the new pair", requestToken(t, s, "").status, http.StatusCreated)
	s.RevokeKey(oldKey)
	if a, err = send(t, s.Client(), again); err != nil {
		t.Fatal(err)
	}
	check(t, "status with the dropped pair", a.status, http.StatusUnauthorized)
}
