// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

const (
	jwtIssuer   = "https://login.example"
	jwtAudience = "https://proxy.example"
	jwtClaim    = "account"
)

func TestFromJWT_ReturnsVerifiedAccount(t *testing.T) {
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method       jwt.SigningMethod
		sign, verify any
	}{
		{jwt.SigningMethodHS256, hmacKey, hmacKey},
		{jwt.SigningMethodRS256, rsaKey(), rsaKey().Public()},
		{jwt.SigningMethodPS256, rsaKey(), rsaKey().Public()},
		{jwt.SigningMethodES256, elliptical, elliptical.Public()},
		{jwt.SigningMethodEdDSA, private, public},
		{jwt.SigningMethodRS256, rsaKey(), jwt.VerificationKeySet{Keys: []jwt.VerificationKey{rsaKey().Public()}}},
	} {
		find := fromJWT(t, jwtConfig(test.method, test.verify))
		token := sign(t, test.method, test.sign, goodClaims())
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  ", "bearer     "} {
			wantAccount(t, find, inbound(t, "Authorization", scheme+token), alice)
		}
	}
}

func TestFromJWT_RequiresOneBearerToken(t *testing.T) {
	find := fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	good := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())
	for name, values := range map[string][]string{
		"none":             nil,
		"no value":         {},
		"an empty field":   {""},
		"only a scheme":    {"Bearer"},
		"scheme and space": {"Bearer "},
		"no scheme":        {good},
		"no space":         {"Bearer" + good},
		"only spaces":      {"Bearer    "},
		"a space in front": {" Bearer " + good},
		"text after it":    {"Bearer " + good + " x"},
		"a tab after it":   {"Bearer \t" + good},
		"a wide space":     {"Bearer \u00a0" + good},
		"Basic":            {"Basic " + good},
		"DPoP":             {"DPoP " + good},
		"another, longer":  {"Bearers " + good},
		"a tab":            {"Bearer\t" + good},
		"two":              {"Bearer " + good, "Bearer " + good},
		"another first":    {"Basic dTpw", "Bearer " + good},
		"a second field":   {"Bearer " + good, "Basic dTpw"},
		"a parameter":      {`Bearer token="` + good + `"`},
	} {
		t.Run(name, func(t *testing.T) { wantUnauthenticated(t, find, values...) })
	}
}

func TestFromJWT_InvalidAccountIsForbidden(t *testing.T) {
	find := fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	for name, test := range map[string]struct{ claim, want string }{
		"a string":                 {`"102681871"`, alice},
		"a number":                 {`102681871`, alice},
		"a number beyond 2^53":     {`9007199254740993`, "9007199254740993"},
		"the largest":              {`9223372036854775807`, "9223372036854775807"},
		"one more":                 {`9223372036854775808`, ""},
		"twenty digits":            {`10000000000000000000`, ""},
		"null":                     {`null`, ""},
		"an empty string":          {`""`, ""},
		"zero":                     {`0`, ""},
		"a negative number":        {`-102681871`, ""},
		"a fraction":               {`102681871.0`, ""},
		"an exponent":              {`1e3`, ""},
		"an exponent in a string":  {`"1e3"`, ""},
		"a sign in a string":       {`"+1"`, ""},
		"a list of one":            {`["102681871"]`, ""},
		"a list of one number":     {`[102681871]`, ""},
		"an object":                {`{"id":"102681871"}`, ""},
		"a boolean":                {`true`, ""},
		"digits of another script": {`"\u0661"`, ""},
		"a NUL at the end":         {`"102681871\u0000"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, json.RawMessage(test.claim))))
			wantAccount(t, find, inbound(t, "Authorization", "Bearer "+token), test.want)
		})
	}
	missing := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, nil)))
	_, err := find(inbound(t, "Authorization", "Bearer "+missing))
	check(t, "a token without the claim is forbidden", errors.Is(err, middleware.ErrForbidden), true)
	check(t, "and authenticated", errors.Is(err, middleware.ErrUnauthenticated), false)
}

func FuzzFromJWT_RequiresCanonicalID(f *testing.F) {
	for _, id := range ids {
		f.Add(id)
		f.Add(`"` + id + `"`)
	}
	find := fromJWT(f, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	f.Fuzz(func(t *testing.T, claim string) {
		var text string
		switch {
		case !json.Valid([]byte(claim)):
			encoded, err := json.Marshal(claim)
			if err != nil {
				t.Fatal(err)
			}
			claim, text = string(encoded), claim
		case json.Unmarshal([]byte(claim), &text) != nil:
			text = strings.Trim(claim, " \t\r\n")
		}
		want := ""
		if canonical(text) {
			want = text
		}
		claims := jwt.MapClaims{"iss": jwtIssuer, "aud": jwtAudience, "exp": int64(1) << 40, jwtClaim: json.RawMessage(claim)}
		wantAccount(t, find, inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, claims)), want)
	})
}

func TestJWTConfig_OptionsMayAddLeeway(t *testing.T) {
	config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
	config.Options = []jwt.ParserOption{jwt.WithLeeway(time.Minute)}
	token := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with("exp", time.Now().Add(-10*time.Second).Unix())))
	wantAccount(t, fromJWT(t, config), inbound(t, "Authorization", "Bearer "+token), alice)
}

// An unset variable gives an empty secret, which everyone knows.
func TestJWTConfig_EmptyKeyVerifiesNothing(t *testing.T) {
	forged := "Bearer " + sign(t, jwt.SigningMethodHS256, []byte{}, goodClaims())
	for name, key := range map[string]any{
		"nil":       nil,
		"nil bytes": []byte(nil),
		"no bytes":  []byte{},
		"a string":  "",
		"in a set":  jwt.VerificationKeySet{Keys: []jwt.VerificationKey{hmacKey, []byte{}}},
		"no set":    jwt.VerificationKeySet{},
	} {
		t.Run(name, func(t *testing.T) {
			wantUnauthenticated(t, fromJWT(t, jwtConfig(jwt.SigningMethodHS256, key)), forged)
		})
	}
}

func TestJWTConfig_KeyErrorVerifiesNothing(t *testing.T) {
	config := jwtConfig(jwt.SigningMethodHS256, nil)
	config.Key = func(*jwt.Token) (any, error) { return hmacKey, errors.New("unknown kid") }
	wantUnauthenticated(t, fromJWT(t, config), "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims()))
}

// Each client reaches its own account, and the platform never gets the client's
// JWT.
func TestFromJWT_ClientReachesOnlyItsAccount(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) {
		c.Account = fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	}))
	token := func(account string) string {
		return "Bearer " + sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, account)))
	}
	for _, client := range []string{alice, bob} {
		for _, account := range []string{alice, bob} {
			r := s.get(t, "/v1/accounts/"+account, "Authorization", token(client))
			if client == account {
				check(t, "status of its own account", r.status, http.StatusOK)
				check(t, "body", r.body, `{"account_id":`+account+`,"status":"NORMAL"}`)
			} else {
				check(t, "status of another account", r.status, http.StatusUnauthorized)
				check(t, "another's data", strings.Contains(r.body, "NORMAL"), false)
			}
		}
		check(t, "status of the organization", s.get(t, "/v1/organization", "Authorization", token(client)).status, http.StatusUnauthorized)
	}
	r := s.get(t, "/v1/accounts/"+alice)
	wantProblem(t, r, http.StatusUnauthorized, "unauthenticated")
	check(t, "WWW-Authenticate", r.header.Get("WWW-Authenticate"), "Bearer")
	for reason, n := range p.Counts().Refused {
		if reason != passporttest.ReasonAccount {
			t.Errorf("%d requests were refused: %s, want %s only", n, reason, passporttest.ReasonAccount)
		}
	}
	check(t, "tokens issued", p.Counts().Issued, 2)
}
