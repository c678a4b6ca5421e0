// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// claimsOf returns pairs of name and value as JSON.
func claimsOf(pairs ...any) string {
	claims := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		claims[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// sentinel is part of every malformed token below. It must not be in an error.
const sentinel = "SENTINEL"

// malformed are grants with invalid tokens.
var malformed = map[string]tokensource.Grant{
	"zero":                  {},
	"empty":                 opaque("", 0),
	"only padding":          opaque("===", 0),
	"newline at the end":    opaque(sentinel+"\n", 0),
	"newline and a header":  opaque(sentinel+"\r\nX-Injected: 1", 0),
	"carriage return":       opaque(sentinel+"\r", 0),
	"space":                 opaque(sentinel+" "+sentinel, 0),
	"comma":                 opaque(sentinel+","+sentinel, 0),
	"NUL":                   opaque(sentinel+"\x00", 0),
	"quotes":                opaque(`"`+sentinel+`"`, 0),
	"not ASCII":             opaque(sentinel+"é", 0),
	"padding in the middle": opaque(sentinel+"="+sentinel, 0),
	"scheme and token":      opaque("Bearer "+sentinel, 0),
}

func TestGrant_InvalidTokensAreRejected(t *testing.T) {
	for name, grant := range malformed {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				asked := 0
				src := newSource(t, issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
					asked++
					return grant, nil
				}))
				err := wantNoToken(t, src, acct(t, 1), tokensource.ErrMalformedResponse)
				wantNothingOf(t, err, grant.Token.Reveal())

				time.Sleep(time.Minute) // The cooldown is over.
				wantNoToken(t, src, acct(t, 1), tokensource.ErrMalformedResponse)
				if asked != 2+1 {
					t.Errorf("the issuer was asked %d times, want twice and then once", asked)
				}
			})
		})
	}
}

// wantNothingOf fails the test if an error shows any part of the token, in any
// encoding.
func wantNothingOf(t *testing.T, err *tokensource.Error, token string) {
	t.Helper()
	wantHidden(t, "the error", err, sentinel)
	if len(token) > 8 {
		wantHidden(t, "the error", err, token)
	}
	if cause := err.Unwrap(); cause != nil && strings.Contains(cause.Error(), sentinel) {
		t.Errorf("the cause shows the token: %v", cause)
	}
}

func TestGrant_InvalidKeepsTheTokenInService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		var answer tokensource.Issuer = d
		src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			return answer.Issue(ctx, account)
		}))
		first := token(t, src, acct(t, 1))
		answer = granting(malformed["newline and a header"])
		time.Sleep(500 * time.Second)
		token(t, src, acct(t, 1)) // A renewal begins in the background.
		synctest.Wait()
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token was replaced by something malformed")
		}
	})
}

func TestGrant_TokenMayBeOpaque(t *testing.T) {
	for name, value := range map[string]string{
		"one character":          "x",
		"no dots":                "0123456789abcdefABCDEF",
		"every character":        "aZ09-._~+/==",
		"one dot":                "a.b",
		"three dots":             "a.b.c.d",
		"five parts (JWE)":       "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d",
		"JWT, HS512":             jwtOf(`{"iss":"Passport"}`),
		"JWT, unknown algorithm": segments(`{"alg":"PISMO-1"}`, `{}`, "s"),
		"JWT, no algorithm":      segments(`{}`, `{}`, "s"),
		"JWT, not signed":        segments(`{"alg":"none"}`, `{}`, ""),
		"JWT, unknown claims":    jwtOf(`{"roles":["a"],"tkver":"2","deep":{"a":[1,null]}}`),
		"not base64":             "abc-.~.~",
		"no claims":              segments(`{"alg":"HS512"}`, "", "s"),
		"not JSON":               segments("a", "b", "c"),
		"header not JSON":        segments("a", `{}`, "s"),
		"claims not an object":   segments(`{"alg":"HS512"}`, `["a"]`, "s"),
		"signature not base64":   segments(`{"alg":"HS512"}`, `{"x":"a"}`) + ".~",
	} {
		t.Run(name, func(t *testing.T) {
			tok := token(t, newSource(t, granting(opaque(value, 0))), acct(t, 1))
			if tok.Reveal() != value {
				t.Errorf("the token became %q, want %q", tok.Reveal(), value)
			}
		})
	}
}

func TestGrant_WrongAccountIsDiscarded(t *testing.T) {
	internal := acct(t, 42)
	organization := tokensource.Organization()
	external, err := tokensource.ExternalAccountID("ext-42")
	if err != nil {
		t.Fatal(err)
	}
	claims := func(json string) tokensource.Grant { return opaque(jwtOf(json), 0) }
	answer := func(internal, external string) tokensource.Grant {
		return tokensource.Grant{Token: tokensource.NewSecret("opaque"), AccountID: internal, ExternalAccountID: external}
	}
	tests := []struct {
		name    string
		account tokensource.Account
		grant   tokensource.Grant
		fits    bool
	}{
		{"nothing named", internal, answer("", ""), true},
		{"answer", internal, answer("42", ""), true},
		{"answer, other", internal, answer("43", ""), false},
		{"answer, other spelling", internal, answer("042", ""), true},
		{"answer, external is not compared", internal, answer("42", "ext-7"), true},
		{"account_id number", internal, claims(`{"account_id":42}`), true},
		{"account_id number, other", internal, claims(`{"account_id":43}`), false},
		{"account_id string", internal, claims(`{"account_id":"42"}`), true},
		{"account_id string, other", internal, claims(`{"account_id":"43"}`), false},
		{"account_id null", internal, claims(`{"account_id":null}`), true},
		{"account_id 0", internal, claims(`{"account_id":0}`), true},
		{"account_id \"0\"", internal, claims(`{"account_id":"0"}`), true},
		{"account_id empty", internal, claims(`{"account_id":""}`), true},
		{"account_id 42.0", internal, claims(`{"account_id":42.0}`), true},
		{"account_id 4.2e1", internal, claims(`{"account_id":4.2e1}`), true},
		{"account_id \"42.00\"", internal, claims(`{"account_id":"42.00"}`), true},
		{"account_id 43.0", internal, claims(`{"account_id":43.0}`), false},
		{"account_id 1e999999999", internal, claims(`{"account_id":1e999999999}`), false},
		{"account_id nearly", internal, claims(`{"account_id":42.` + strings.Repeat("0", 100) + `1}`), false},
		{"account_id Inf", internal, claims(`{"account_id":"Inf"}`), false},
		{"account_id 0.0", internal, claims(`{"account_id":0.0}`), true},
		{"account_id fraction", internal, claims(`{"account_id":42.5}`), false},
		{"account_id list", internal, claims(`{"account_id":[42]}`), false},
		{"account_id true", internal, claims(`{"account_id":true}`), false},
		{"account-id string", internal, claims(`{"account-id":"42"}`), true},
		{"account-id string, other", internal, claims(`{"account-id":"43"}`), false},
		{"account-id number, other", internal, claims(`{"account-id":43}`), false},
		{"aid", internal, claims(`{"aid":"42"}`), true},
		{"aid number", internal, claims(`{"aid":42}`), true},
		{"aid, other", internal, claims(`{"aid":"43"}`), false},
		{"aid is not an id", internal, claims(`{"aid":"AUTH-7"}`), true},
		{"old and new claims agree", internal, claims(`{"account-id":"42","aid":"42","account_id":42}`), true},
		{"one of several differs", internal, claims(`{"account-id":"42","account_id":43}`), false},
		{"answer and claims differ", internal,
			tokensource.Grant{Token: tokensource.NewSecret(jwtOf(`{"account_id":43}`)), AccountID: "42"}, false},
		{"external claim is not compared", internal, claims(`{"external_account_id":"ext-7"}`), true},

		{"external, nothing named", external, answer("", ""), true},
		{"external, answer", external, answer("", "ext-42"), true},
		{"external, answer, other", external, answer("", "ext-43"), false},
		{"external, internal is not compared", external, answer("7", "ext-42"), true},
		{"external claim", external, claims(`{"external_account_id":"ext-42","aid":"7","account_id":7}`), true},
		{"external claim, other", external, claims(`{"external_account_id":"ext-43"}`), false},
		{"external claim with hyphens, other", external, claims(`{"external-account-id":"ext-43"}`), false},

		{"organization, nothing named", organization, answer("", ""), true},
		{"organization, an account in the answer", organization, answer("42", ""), false},
		{"organization, an external one", organization, answer("", "ext-42"), false},
		{"organization, account_id", organization, claims(`{"account_id":42}`), false},
		{"organization, account-id", organization, claims(`{"account-id":"42"}`), false},
		{"organization, external_account_id", organization, claims(`{"external_account_id":"ext-42"}`), false},
		{"organization, account_id 0", organization, claims(`{"account_id":0}`), true},
		{"organization, account_id null", organization, claims(`{"account_id":null,"external_account_id":null}`), true},
		{"organization, account_id like a tenant", organization, claims(`{"account_id":"TN-ab8b08af","account-id":"tn-ab8b08af"}`), true},
		{"organization, an answer like a tenant", organization, answer("TN-ab8b08af", ""), true},
		{"organization, account_id with a space", organization, claims(`{"account_id":" 42 "}`), false},
		{"organization, account_id as a fraction", organization, claims(`{"account_id":42.0}`), false},
		{"account, account_id like a tenant", internal, claims(`{"account_id":"TN-ab8b08af"}`), false},
		{"organization, its own aid", organization, claims(`{"aid":"7"}`), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := newSource(t, granting(tt.grant))
			if tt.fits {
				token(t, src, tt.account)
				return
			}
			wantNoToken(t, src, tt.account, tokensource.ErrAccountMismatch)
			// Nothing is cached: the next caller gets the error of the cooldown.
			wantNoToken(t, src, tt.account, tokensource.ErrAccountMismatch)
		})
	}
}

func TestGrant_WrongAccountIsNotRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := 0
		src := newSource(t, issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
			asked++
			return tokensource.Grant{Token: tokensource.NewSecret("x"), AccountID: "43"}, nil
		}))
		wantNoToken(t, src, acct(t, 42), tokensource.ErrAccountMismatch)
		if asked != 1 {
			t.Errorf("the issuer was asked %d times, want 1", asked)
		}
	})
}
