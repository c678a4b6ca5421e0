// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// nonTokenCodes returns the codes of 401s that a new token does not resolve.
func nonTokenCodes() map[string]bool {
	codes := map[string]bool{}
	for _, refusal := range passporttest.Refusals() {
		if refusal.Status == http.StatusUnauthorized && refusal.Kind != passporttest.KindToken {
			codes[refusal.Code] = true
		}
	}
	return codes
}

// hasCode reports whether a JSON body has one of the codes where the platform's
// error bodies have their codes.
func hasCode(body []byte, codes map[string]bool) bool {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return false
	}
	errors, _ := fields["errors"].([]any)
	for _, element := range append(errors, fields) {
		object, _ := element.(map[string]any)
		for _, name := range []string{"code", "error_code"} {
			if code, ok := object[name].(string); ok && codes[code] {
				return true
			}
		}
	}
	return false
}

func FuzzErrorBody(f *testing.F) {
	for _, refusal := range passporttest.Refusals() {
		f.Add([]byte(refusal.Body), true, false, true)
	}
	f.Add([]byte(`{"correlationId":"c","errors":["x",{"code":"EUPI0120"}]}`), false, false, true)
	f.Add([]byte("\ufeff{\"code\":\"WEAM0023\",\"error_code\":\"ERR9786\"}"), true, true, true)
	f.Add([]byte(`{"code":"EUPI\u0030120"`), true, true, true)
	f.Add([]byte(`[[{"code":1e999}]]`), true, false, false)
	codes := nonTokenCodes()
	f.Fuzz(func(t *testing.T, body []byte, safe, expired, complete bool) {
		method := http.MethodPost
		if safe {
			method = http.MethodGet
		}
		refusal := &transport.Refusal{
			Request:      &http.Request{Method: method},
			Body:         body,
			Complete:     complete,
			TokenExpired: expired,
		}
		verdict := refusal.Judge()
		switch verdict {
		case transport.TokenRefused, transport.AccountRefused, transport.RequestRefused, transport.Unrecognized:
		default:
			t.Errorf("the verdict is %q", verdict)
		}
		if complete && verdict == transport.TokenRefused && hasCode(body, codes) {
			t.Errorf("a business refusal got the verdict token_refused: %q", body)
		}
		if !complete && !safe && !expired && verdict != transport.Unrecognized {
			t.Errorf("the verdict on half a body is %q", verdict)
		}
	})
}

func FuzzChallenge(f *testing.F) {
	for _, value := range []string{
		"", "Bearer", `Bearer realm="pismo", error="invalid_token", error_description="expired"`,
		`Basic realm="x", Bearer error="insufficient_scope"`, `Bearer realm="a, \"b\\", error=invalid_token`,
		`bearer  ERROR = "invalid_token"`, `Bearer error="`, `"`, `,,,`, `Bearer =, error`,
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := transport.BearerError([]string{value}); got != "" {
			lower := strings.ToLower(value)
			asWritten := strings.Contains(value, `\`) || strings.Contains(value, got) // apart from escapes
			if !strings.Contains(lower, "bearer") || !strings.Contains(lower, "error") || !asWritten {
				t.Errorf("%q has the error %q", value, got)
			}
		}
		// Text in quotes is not a challenge.
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
		challenge := `Basic realm="` + quoted + `", Bearer realm="` + quoted + `", error="invalid_token"`
		if got := transport.BearerError([]string{challenge}); got != "invalid_token" {
			t.Errorf("%q has the error %q, want invalid_token", challenge, got)
		}
	})
}
