// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
)

func TestJWTConfig_ClaimPathLeadsIntoObjects(t *testing.T) {
	for name, test := range map[string]struct {
		claims string
		path   []string
		want   string
	}{
		"one name":             {`{"account":"102681871"}`, []string{"account"}, alice},
		"two names":            {`{"app":{"account":"102681871"}}`, []string{"app", "account"}, alice},
		"a number":             {`{"app":{"account":102681871}}`, []string{"app", "account"}, alice},
		"a number beyond 2^53": {`{"app":{"account":9007199254740993}}`, []string{"app", "account"}, "9007199254740993"},
		"a name that is a URL": {`{"https://bank.example/app":{"a":{"b":"102681871"}}}`, []string{"https://bank.example/app", "a", "b"}, alice},
		"a name with a dot":    {`{"app.account":"102681871"}`, []string{"app.account"}, alice},
		"dot is not a path":    {`{"app":{"account":"102681871"}}`, []string{"app.account"}, ""},
		"a string on the path": {`{"app":"102681871"}`, []string{"app", "account"}, ""},
		"a list on the path":   {`{"app":[{"account":"102681871"}]}`, []string{"app", "account"}, ""},
		"null on the path":     {`{"app":null}`, []string{"app", "account"}, ""},
		"no claim on the path": {`{}`, []string{"app", "account"}, ""},
		"no claim at the end":  {`{"app":{}}`, []string{"app", "account"}, ""},
		"null at the end":      {`{"app":{"account":null}}`, []string{"app", "account"}, ""},
		"an object at the end": {`{"app":{"account":{"id":"102681871"}}}`, []string{"app", "account"}, ""},
		"another's at the top": {`{"account":"102681872","app":{}}`, []string{"app", "account"}, ""},
		"another case":         {`{"App":{"account":"102681871"}}`, []string{"app", "account"}, ""},
		"a leading zero":       {`{"app":{"account":"0102681871"}}`, []string{"app", "account"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var claims map[string]json.RawMessage
			if err := json.Unmarshal([]byte(test.claims), &claims); err != nil {
				t.Fatal(err)
			}
			all := goodClaims(with(jwtClaim, nil))
			for name, value := range claims {
				all[name] = value
			}
			config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
			config.Claim, config.ClaimPath = "", test.path
			find := fromJWT(t, config)
			r := inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, all))
			wantAccount(t, find, r, test.want)
			if _, err := find(r); test.want == "" && errors.Is(err, middleware.ErrUnauthenticated) {
				t.Error("an authenticated client gets the answer to authenticate")
			}
		})
	}
}

func TestJWTConfig_ClaimPathFaults(t *testing.T) {
	for _, test := range []struct {
		claim string
		path  []string
		field string
	}{
		{"", nil, "JWTConfig.Claim"},
		{"", []string{}, "JWTConfig.Claim"},
		{"account", []string{"app", "account"}, "JWTConfig.ClaimPath"},
		{"", []string{""}, "JWTConfig.ClaimPath"},
		{"", []string{"app", "", "account"}, "JWTConfig.ClaimPath"},
	} {
		config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
		config.Claim, config.ClaimPath = test.claim, test.path
		_, err := middleware.FromJWT(config)
		check(t, "faults in", strings.Join(faultyFields(t, err), ", "), test.field)
	}
}
