// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

const (
	openIDPath    = "/passport/v1/oauth2/token"
	accountsGroup = "pismo-v1:accounts:rw"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// validClaims returns the claims of a valid assertion.
func validClaims(s *passporttest.Server) jwt.MapClaims {
	o := s.OpenIDIssuer(passport.Key{}, accountsGroup)
	now := time.Now().Unix()
	return jwt.MapClaims{
		"iss": o.Issuer, "sub": o.Subject, "aud": o.Audience, "tenant_id": o.TenantID, "iat": now - 30, "exp": now + 3570,
		"uid": "42", "pismo": map[string]any{"group": accountsGroup}, "customClaims": map[string]any{"operator": "x"},
	}
}

// sendAssertion signs the claims and sends the assertion.
func sendAssertion(t *testing.T, s *passporttest.Server, method jwt.SigningMethod, header map[string]any, claims jwt.MapClaims, key any) answer {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	assertion, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return postAssertion(t, s, assertion)
}

func postAssertion(t *testing.T, s *passporttest.Server, assertion string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"token": assertion})
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, s, http.MethodPost, openIDPath, string(body))
	r.Header.Set("Content-Type", "application/json")
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestServer_OpenIDAnswer(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		s.RegisterKey(&rsaKey().PublicKey)
		a := sendAssertion(t, s, jwt.SigningMethodRS256, nil, validClaims(s), rsaKey())
		check(t, "status", a.status, http.StatusCreated)
		var fields map[string]any
		if err := json.Unmarshal(a.body, &fields); err != nil {
			t.Fatal(err)
		}
		check(t, "fields", sortedKeys(fields), "expires_in refresh_token token")
		check(t, "expires_in", fields["expires_in"], any("600"))
		token := a.field(t, "token").(string)
		check(t, "its account", get(t, s, token, "/v1/accounts/42"), http.StatusOK)
		check(t, "another account", get(t, s, token, "/v1/accounts/43"), http.StatusUnauthorized)
	})
}

func TestServer_OpenIDRefusesFaultyAssertions(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{
		Accounts: []string{"42", "43"}, OpenID: passporttest.OpenIDConfig{Groups: map[string][]string{accountsGroup: {"/"}}},
	})
	s.RegisterKey(&rsaKey().PublicKey)
	now := time.Now().Unix()
	object := func(group any) map[string]any { return map[string]any{"group": group} }
	for _, test := range []struct {
		claim string
		value any // nil removes the claim
		fault passporttest.AssertionFault
	}{
		{"iss", nil, "iss"}, {"iss", "other", "iss"}, {"iss", 1, "iss"},
		{"sub", nil, "sub"}, {"sub", "other", "sub"},
		{"aud", nil, "aud"}, {"aud", "other", "aud"}, {"aud", []string{validClaims(s)["aud"].(string)}, "aud"},
		{"tenant_id", nil, "tenant_id"}, {"tenant_id", "TN-other", "tenant_id"}, {"tenant_id", 1, "tenant_id"},
		{"iat", nil, "iat"}, {"iat", "1", "iat"}, {"iat", 1.5, "iat"}, {"exp", nil, "exp"}, {"exp", "1", "exp"},
		{"iat", now + 60, passporttest.FaultFuture}, {"exp", now - 1, passporttest.FaultExpired},
		{"exp", now - 60, passporttest.FaultLifetime}, {"exp", now + 3600, passporttest.FaultLifetime},
		{"pismo", nil, "pismo"}, {"pismo", accountsGroup, "pismo"}, {"pismo", object(1), "pismo"},
		{"pismo", object("pismo-v1:other:rw"), "pismo"}, {"pismo", map[string]any{"group": accountsGroup, "x": 1}, "pismo"},
		{"uid", 42, "uid"}, {"uid", "", "uid"}, {"uid", "042", "uid"}, {"uid", "TN-other", "uid"}, {"uid", "7", passporttest.FaultAccount},
		{"external_account_id", 42, "external_account_id"}, {"external_account_id", "", "external_account_id"},
		{"external_account_id", "external-43", passporttest.FaultAccount}, {"external_account_id", "other", passporttest.FaultAccount},
		{"customClaims", "x", "customClaims"}, {"account_id", "42", passporttest.FaultUnknownClaim},
	} {
		claims := validClaims(s)
		if claims[test.claim] = test.value; test.value == nil {
			delete(claims, test.claim)
		}
		before := s.Counts().Assertions[test.fault]
		a := sendAssertion(t, s, jwt.SigningMethodRS256, nil, claims, rsaKey())
		if got := s.Counts().Assertions; a.status != http.StatusUnauthorized || got[test.fault] != before+1 {
			t.Errorf("%s %v: status %d, faults %v, want %s", test.claim, test.value, a.status, got, test.fault)
		}
		check(t, "message", a.field(t, "message"), any("Invalid credentials"))
	}
}

func TestServer_OpenIDRefusesHeaders(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&rsaKey().PublicKey)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method jwt.SigningMethod
		header map[string]any
		key    any
		fault  passporttest.AssertionFault
	}{
		{jwt.SigningMethodRS512, nil, rsaKey(), passporttest.FaultAlgorithm},
		{jwt.SigningMethodPS256, nil, rsaKey(), passporttest.FaultAlgorithm},
		{jwt.SigningMethodNone, nil, jwt.UnsafeAllowNoneSignatureType, passporttest.FaultAlgorithm},
		{jwt.SigningMethodHS256, nil, rsaKey().N.Bytes(), passporttest.FaultAlgorithm},
		{jwt.SigningMethodRS256, map[string]any{"typ": "at+jwt"}, rsaKey(), passporttest.FaultHeader},
		{jwt.SigningMethodRS256, map[string]any{"jku": "x"}, rsaKey(), passporttest.FaultHeader},
		{jwt.SigningMethodRS256, nil, other, passporttest.FaultSignature},
	} {
		a := sendAssertion(t, s, test.method, test.header, validClaims(s), test.key)
		if got := s.Counts().Assertions; a.status != http.StatusUnauthorized || got[test.fault] == 0 {
			t.Errorf("%s %v: got status %d, faults %v, want 401 and %v", test.method.Alg(), test.header, a.status, got, test.fault)
		}
	}
	check(t, "not a JWT", postAssertion(t, s, "x.y").status, http.StatusUnauthorized)
	check(t, "format", s.Counts().Assertions[passporttest.FaultFormat], 1)
}

func TestServer_OpenIDRequestShape(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	for body, want := range map[string]int{
		`{"token":""}`: 400, `{"token":1}`: 400, `{}`: 400, `{"token":"x","grant_type":"y"}`: 400, `[]`: 400, `{"assertion":"x"}`: 400,
	} {
		r := request(t, s, http.MethodPost, openIDPath, body)
		r.Header.Set("Content-Type", "application/json")
		a, err := send(t, s.Client(), r)
		if err != nil {
			t.Fatal(err)
		}
		check(t, body, a.status, want)
	}
}

func TestServer_OpenIDKeys(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{OpenID: passporttest.OpenIDConfig{RequireKeyID: true}})
	kid := s.RegisterKey(&rsaKey().PublicKey)
	status := func(header map[string]any) int {
		return sendAssertion(t, s, jwt.SigningMethodRS256, header, validClaims(s), rsaKey()).status
	}
	check(t, "no kid", status(nil), http.StatusUnauthorized)
	check(t, "another kid", status(map[string]any{"kid": "other"}), http.StatusUnauthorized)
	check(t, "the kid", status(map[string]any{"kid": kid}), http.StatusCreated)
	s.WithdrawKey(&rsaKey().PublicKey)
	check(t, "withdrawn", status(map[string]any{"kid": kid}), http.StatusUnauthorized)
}

func TestServer_OpenIDReuse(t *testing.T) {
	for _, test := range []struct {
		refuse bool
		want   int
	}{{false, http.StatusCreated}, {true, http.StatusUnauthorized}} {
		s := passporttest.NewServer(t, passporttest.Config{OpenID: passporttest.OpenIDConfig{RefuseReuse: test.refuse}})
		s.RegisterKey(&rsaKey().PublicKey)
		assertion, err := jwt.NewWithClaims(jwt.SigningMethodRS256, validClaims(s)).SignedString(rsaKey())
		if err != nil {
			t.Fatal(err)
		}
		check(t, "first use", postAssertion(t, s, assertion).status, http.StatusCreated)
		check(t, "second use", postAssertion(t, s, assertion).status, test.want)
	}
}

func TestServer_OpenIDFaults(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&rsaKey().PublicKey)
	o := s.OpenIDIssuer(passport.SignerKey(rsaKey()), accountsGroup)
	for _, test := range []struct {
		fault passporttest.Fault
		want  error
	}{
		{passporttest.Status(500), tokensource.ErrUnavailable},
		{passporttest.HTML(403), tokensource.ErrUnavailable},
		{passporttest.Truncated(), tokensource.ErrUnavailable},
		{passporttest.WrongAccountInToken("7"), tokensource.ErrAccountMismatch},
		{passporttest.ByteOrderMark(), nil},
	} {
		s.FailAlways(test.fault)
		source, err := tokensource.New(tokensource.Config{Issuer: o})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = source.Token(t.Context(), account(t, "42")); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.fault, err, test.want)
		}
	}
}

func TestServer_OpenIDGroups(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{OpenID: passporttest.OpenIDConfig{Groups: map[string][]string{
		accountsGroup: {"GET /v1/accounts/", "/v1/payments/"}, "pismo-v1:orgs:rw": {"/v1/organization", "POST /v1/payments"},
	}}})
	s.RegisterKey(&rsaKey().PublicKey)
	source, err := tokensource.New(tokensource.Config{Issuer: s.OpenIDIssuer(passport.SignerKey(rsaKey()), accountsGroup)})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := transport.New(transport.Config{Source: source, Hosts: []string{s.Host()}, Base: s.Client().Transport, Account: tokensource.Organization()})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/v1/accounts/42": http.StatusOK, "/v1/organization": http.StatusForbidden,
		// ServeMux would redirect these to an endpoint of the group.
		"/v1/payments": http.StatusForbidden, "/v1//accounts/42": http.StatusForbidden, "/v1/organization/../accounts/42": http.StatusForbidden,
	} {
		a, err := send(t, &http.Client{Transport: rt}, request(t, s, http.MethodGet, path, ""))
		if err != nil {
			t.Fatal(err)
		}
		check(t, path, a.status, want)
		if want == http.StatusForbidden {
			check(t, path+", body", string(a.body), `{"message":"Forbidden"}`)
		}
	}
	counts := s.Counts()
	check(t, "issued", counts.Issued, 1) // The 403 causes no renewal.
	check(t, "refused", counts.Refused[passporttest.ReasonGroup], 4)
}

func TestServer_OpenIDAccounts(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&rsaKey().PublicKey)
	o := s.OpenIDIssuer(passport.SignerKey(rsaKey()), accountsGroup)
	o.OrganizationUID = strings.ToLower(o.TenantID)
	external, err := tokensource.ExternalAccountID("external-42")
	if err != nil {
		t.Fatal(err)
	}
	source, err := tokensource.New(tokensource.Config{Issuer: o})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		account tokensource.Account
		path    string
	}{{external, "/v1/accounts/42"}, {account(t, "43"), "/v1/accounts/43"}, {tokensource.Organization(), "/v1/organization"}} {
		token, err := source.Token(context.WithoutCancel(t.Context()), test.account)
		if err != nil {
			t.Fatal(err)
		}
		check(t, test.path, get(t, s, token.Reveal(), test.path), http.StatusOK)
	}
}

func TestNew_RefusesOpenIDConfig(t *testing.T) {
	for field, config := range map[string]passporttest.OpenIDConfig{
		"Config.OpenID.Groups":      {Groups: map[string][]string{"x": {"not a pattern"}}},
		"Config.OpenID.MaxLifetime": {MaxLifetime: -1},
	} {
		if _, err := passporttest.New(passporttest.Config{OpenID: config}); !isConfigError(err, field) {
			t.Errorf("%s: got error %v, want a fault of the field", field, err)
		}
	}
}
