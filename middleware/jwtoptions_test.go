// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

const otherAudience = "https://other.example"

// An option does not relax the requirement of a field. A field does not relax
// the requirement of an option.
func TestJWTConfig_OptionsAddToFields(t *testing.T) {
	both := []string{jwtAudience, otherAudience}
	now := time.Now()
	for name, test := range map[string]struct {
		options []jwt.ParserOption
		// Each test has claims of valid tokens and of invalid tokens.
		in, out []func(jwt.MapClaims)
	}{
		"all audiences": {
			[]jwt.ParserOption{jwt.WithAllAudiences(jwtAudience, otherAudience)},
			[]func(jwt.MapClaims){with("aud", both)},
			[]func(jwt.MapClaims){with("aud", jwtAudience), with("aud", otherAudience), with("aud", nil)},
		},
		"all of another audience": {
			[]jwt.ParserOption{jwt.WithAllAudiences(otherAudience)},
			[]func(jwt.MapClaims){with("aud", both)},
			[]func(jwt.MapClaims){with("aud", jwtAudience), with("aud", otherAudience)},
		},
		"another audience": {
			[]jwt.ParserOption{jwt.WithAudience(otherAudience)},
			[]func(jwt.MapClaims){with("aud", both)},
			[]func(jwt.MapClaims){with("aud", jwtAudience), with("aud", otherAudience)},
		},
		"any audience": {
			[]jwt.ParserOption{jwt.WithAudience()},
			[]func(jwt.MapClaims){with("aud", both), with("aud", jwtAudience)},
			[]func(jwt.MapClaims){with("aud", otherAudience), with("aud", nil)},
		},
		"the same issuer": {
			[]jwt.ParserOption{jwt.WithIssuer(jwtIssuer)},
			[]func(jwt.MapClaims){with("iss", jwtIssuer)},
			[]func(jwt.MapClaims){with("iss", "https://evil.example"), with("iss", nil)},
		},
		"any issuer": {
			[]jwt.ParserOption{jwt.WithIssuer("")},
			[]func(jwt.MapClaims){with("iss", jwtIssuer)},
			[]func(jwt.MapClaims){with("iss", "https://evil.example"), with("iss", nil)},
		},
		"a subject": {
			[]jwt.ParserOption{jwt.WithSubject("alice")},
			[]func(jwt.MapClaims){with("sub", "alice")},
			[]func(jwt.MapClaims){with("sub", "bob"), with("sub", nil)},
		},
		"no validation": {
			[]jwt.ParserOption{jwt.WithoutClaimsValidation()},
			[]func(jwt.MapClaims){with("iss", jwtIssuer)},
			[]func(jwt.MapClaims){
				with("exp", nil), with("exp", 1), with("nbf", now.Add(time.Hour).Unix()), with("iat", now.Add(time.Hour).Unix()),
				with("iss", "https://evil.example"), with("aud", otherAudience),
			},
		},
		"no validation, and a subject": {
			[]jwt.ParserOption{jwt.WithoutClaimsValidation(), jwt.WithSubject("alice")},
			[]func(jwt.MapClaims){with("sub", "alice")},
			[]func(jwt.MapClaims){with("sub", "bob")},
		},
		"a time from which it is valid": {
			[]jwt.ParserOption{jwt.WithNotBeforeRequired()},
			[]func(jwt.MapClaims){with("nbf", now.Add(-time.Hour).Unix())},
			[]func(jwt.MapClaims){with("nbf", nil)},
		},
		"any method": {
			[]jwt.ParserOption{jwt.WithValidMethods(nil)},
			[]func(jwt.MapClaims){with("iss", jwtIssuer)},
			[]func(jwt.MapClaims){with("iss", nil)},
		},
		"another clock": {
			[]jwt.ParserOption{jwt.WithTimeFunc(func() time.Time { return now.Add(2 * time.Hour) })},
			[]func(jwt.MapClaims){with("exp", now.Add(3*time.Hour).Unix())},
			[]func(jwt.MapClaims){with("exp", now.Add(time.Hour).Unix())},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
			config.Options = test.options
			find := fromJWT(t, config)
			for i, edit := range test.in {
				r := inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(edit)))
				if _, err := find(r); err != nil {
					t.Errorf("claims %d are refused: %v", i, err)
				}
			}
			for _, edit := range test.out {
				wantUnauthenticated(t, find, "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(edit)))
			}
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				wantUnauthenticated(t, find, "Bearer "+sign(t, method, hmacKey, goodClaims(test.in[0])))
			}
			none := sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims(test.in[0]))
			wantUnauthenticated(t, find, "Bearer "+none)
		})
	}
}

func TestJWTConfig_OptionsNarrowAlgorithms(t *testing.T) {
	config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
	config.Algorithms = []string{"HS256", "HS384"}
	for name, options := range map[string][]jwt.ParserOption{
		"by itself":      {jwt.WithValidMethods([]string{"HS384", "HS512", "none"})},
		"with padding":   {jwt.WithValidMethods([]string{"HS384"}), jwt.WithPaddingAllowed()},
		"decoded strict": {jwt.WithStrictDecoding(), jwt.WithValidMethods([]string{"HS384"})},
		"the last one":   {jwt.WithValidMethods([]string{"HS256"}), jwt.WithValidMethods([]string{"HS384"})},
	} {
		t.Run(name, func(t *testing.T) {
			config.Options = options
			find := fromJWT(t, config)
			for method, in := range map[jwt.SigningMethod]bool{
				jwt.SigningMethodHS256: false, jwt.SigningMethodHS384: true, jwt.SigningMethodHS512: false,
			} {
				_, err := find(inbound(t, "Authorization", "Bearer "+sign(t, method, hmacKey, goodClaims())))
				check(t, method.Alg()+" is accepted", err == nil, in)
			}
		})
	}
}

// If a field and an option contradict each other, no token is valid.
func TestJWTConfig_ContradictionDeniesAll(t *testing.T) {
	for name, options := range map[string][]jwt.ParserOption{
		"other methods":  {jwt.WithValidMethods([]string{"HS512", "none"})},
		"no method":      {jwt.WithValidMethods([]string{})},
		"another issuer": {jwt.WithIssuer("https://evil.example")},
		"the last issuer, without validation": {
			jwt.WithIssuer(jwtIssuer), jwt.WithoutClaimsValidation(), jwt.WithIssuer("https://evil.example"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
			config.Options = options
			find := fromJWT(t, config)
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS512} {
				for _, issuer := range []string{jwtIssuer, "https://evil.example"} {
					wantUnauthenticated(t, find, "Bearer "+sign(t, method, hmacKey, goodClaims(with("iss", issuer))))
				}
			}
			wantUnauthenticated(t, find, "Bearer "+sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims()))
		})
	}
}

// A token whose issue time is in the future shows that a clock is wrong. Its
// expiry is then unknown.
func TestFromJWT_RefusesFutureToken(t *testing.T) {
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, test := range map[string]struct {
		iat    any
		leeway time.Duration // 0 means no option
		in     bool
	}{
		"none":                    {nil, 0, true},
		"a moment ago":            {at(-time.Second), 0, true},
		"long ago":                {1, 0, true},
		"of another clock":        {at(3 * time.Second), 0, true},
		"in a minute":             {at(time.Minute), 0, false},
		"tomorrow":                {at(24 * time.Hour), 0, false},
		"within the leeway":       {at(time.Minute), 2 * time.Minute, true},
		"beyond the leeway":       {at(3 * time.Minute), 2 * time.Minute, false},
		"beyond a smaller leeway": {at(4 * time.Second), time.Second, false},
		"in milliseconds":         {time.Now().UnixMilli(), 0, false},
		"a fraction":              {json.RawMessage("1.5"), 0, true},
		"beyond time.Time":        {json.RawMessage("1e300"), 0, false},
		"beyond any number":       {json.RawMessage("1e999"), 0, false},
		"a string":                {"1", 0, false},
		"null":                    {json.RawMessage("null"), 0, false},
		"a list":                  {[]int{1}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
			if test.leeway != 0 {
				config.Options = []jwt.ParserOption{jwt.WithLeeway(test.leeway)}
			}
			find := fromJWT(t, config)
			authorization := "Bearer " + sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with("iat", test.iat)))
			if test.in {
				wantAccount(t, find, inbound(t, "Authorization", authorization), alice)
			} else {
				wantUnauthenticated(t, find, authorization)
			}
		})
	}
	find := fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	for _, name := range []string{"exp", "nbf"} {
		for _, value := range []string{"1e300", "-1e300", "1e999"} {
			wantUnauthenticated(t, find, "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(name, json.RawMessage(value)))))
		}
	}
}

// A critical header parameter must be supported, and FromJWT supports none (RFC
// 7515, section 4.1.11).
func TestFromJWT_RefusesCriticalExtensions(t *testing.T) {
	asked := 0
	config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
	config.Key = func(*jwt.Token) (any, error) { asked++; return hmacKey, nil }
	find := fromJWT(t, config)
	for name, header := range map[string]map[string]any{
		"unknown":        {"crit": []string{"must-understand"}, "must-understand": true},
		"an expired one": {"crit": []string{"exp"}, "exp": 1},
		"b64":            {"crit": []string{"b64"}, "b64": true},
		"an empty list":  {"crit": []string{}},
		"null":           {"crit": nil},
		"a string":       {"crit": "x"},
		"false":          {"crit": false},
	} {
		t.Run(name, func(t *testing.T) {
			token := jwt.NewWithClaims(jwt.SigningMethodHS256, goodClaims())
			maps.Copy(token.Header, header)
			signed, err := token.SignedString(hmacKey)
			if err != nil {
				t.Fatal(err)
			}
			wantUnauthenticated(t, find, "Bearer "+signed)
		})
	}
	check(t, "calls of Key", asked, 0)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, goodClaims())
	token.Header["kid"], token.Header["x-crit"] = "one", "anything" // These parameters may be ignored.
	signed, err := token.SignedString(hmacKey)
	check(t, "error", err, nil)
	wantAccount(t, find, inbound(t, "Authorization", "Bearer "+signed), alice)
}

// A client treats a 401 as a demand to log in again. So a 401 must be about the
// client's own token.
func TestFromJWT_AnswersOnlyToOwnToken(t *testing.T) {
	m := newMiddleware(t, middleware.Config{
		Source:  newSource(t, tokensource.Config{Issuer: grantingIssuer("token")}),
		Account: fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey)),
	})
	handler := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	good := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())
	check(t, "status", call(handler, inbound(t, "Authorization", "Bearer   "+good)).status, http.StatusNoContent)
	wantProblem(t, call(handler, inbound(t, "Authorization", "Bearer "+good+"x")), http.StatusUnauthorized, "unauthenticated")
}
