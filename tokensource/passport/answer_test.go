// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// s2sAnswering returns an issuer whose requests are all answered 201 with this
// body.
func s2sAnswering(body []byte) *passport.S2S {
	s := issuer("https://sandbox.pismolabs.io")
	s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode:    http.StatusCreated,
			Header:        http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(body)),
			Body:          io.NopCloser(bytes.NewReader(body)),
		}, nil
	})}
	return s
}

// A parsedAnswer is the expected result of parsing an answer.
type parsedAnswer struct {
	token     string
	expiresIn time.Duration
	account   string
	external  string
}

func TestS2S_AnswersRead(t *testing.T) {
	plain := parsedAnswer{token: "t"}
	none := parsedAnswer{} // malformed_response
	for _, test := range []struct {
		body string
		want parsedAnswer
	}{
		// The published sample, and the forms of OpenID and OAuth 2.
		{
			`{"tenant":"TN-ab8b08af","server_key":"5d82","account_id":123,"external_account_id":"5512990-642",
			  "program_ids":[1,2,3],"roles":["onboarding-server"],"token":"t","refresh":"r"}`,
			parsedAnswer{"t", 0, "123", "5512990-642"},
		},
		{`{"token":"t","refresh_token":"r","expires_in":"3600"}`, parsedAnswer{token: "t", expiresIn: time.Hour}},
		{`{"access_token":"t","token_type":"bearer","expires_in":600}`, parsedAnswer{token: "t", expiresIn: 10 * time.Minute}},

		// The token.
		{`{"token":"t"}`, plain},
		{" \r\n\t{\"token\":\"t\"}\r\n", plain},
		{`{"token":"t","access_token":"other"}`, plain},
		{`{"token":"","access_token":"t"}`, plain},
		{`{"token":null,"access_token":"t"}`, plain},
		{`{"token":1,"access_token":"t"}`, plain},
		{`{"token":{"token":"other"},"access_token":"t"}`, plain},
		{`{"TOKEN":"other","Token":"other","token":"t"}`, plain},
		{`{"token":"t","TOKEN":"other"}`, plain},
		{`{"token":"t","token":"t"}`, plain},
		{`{"token":"t","token":null}`, plain},
		{`{"token":"","token":"t"}`, plain},
		{`{"token":"t","error":null}`, plain},
		{`{"token":"t","token":"other"}`, none},
		{`{"access_token":"t","access_token":"other"}`, none},
		{`{"error":"invalid_client","error_description":"no"}`, none},
		{`{"TOKEN":"t"}`, none},
		{`{"Access_Token":"t"}`, none},
		{`{"toKen":"t"}`, none}, // The Kelvin sign, which folds to a k.
		{`{"refresh":"t"}`, none},
		{`{"refresh_token":"t"}`, none},
		{`{"data":{"token":"t"}}`, none},
		{`{"token":""}`, none},
		{`{"token":null}`, none},
		{`{"token":1}`, none},
		{`{"token":true}`, none},
		{`{"token":["t"]}`, none},
		{`{"token":{"token":"t"}}`, none},

		// Bodies that are not exactly one object.
		{`{"token":"t"}x`, plain},
		{`{"token":"t"},`, plain},
		{`{"token":"t"}</body>`, plain},
		{"{\"token\":\"t\"}\x00\x00", plain},
		{`[{"token":"t"}]`, plain},
		{"\ufeff" + `{"token":"t"}`, plain},
		{"\ufeff \ufeff" + `{"token":"t"}`, none},
		{``, none},
		{` `, none},
		{`null`, none},
		{`"t"`, none},
		{`t`, none},
		{`[]`, none},
		{`[null]`, none},
		{`["t"]`, none},
		{`[{"token":"t"},{"token":"t"}]`, none},
		{`[[{"token":"t"}]]`, none},
		{`{"token":"t"`, none},
		{`{"token":"t",}`, none},
		{`{"token":"t"}{}`, none},
		{`{"token":"t"}{"token":"other"}`, none},
		{`{'token':'t'}`, none},
		{`token=t`, none},
		{strings.Repeat("[", 60000), none},
		{strings.Repeat(`{"a":`, 12000), none},
		{strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000), none},

		// The accounts.
		{`{"token":"t","account_id":null,"external_account_id":null}`, plain},
		{`{"token":"t","account_id":0,"external_account_id":0}`, plain},
		{`{"token":"t","account_id":"0","external_account_id":"0"}`, plain},
		{`{"token":"t","account_id":0.0}`, plain},
		{`{"token":"t","account_id":-0}`, plain},
		{`{"token":"t","account_id":0e99999999}`, plain},
		{`{"token":"t","account_id":"","external_account_id":""}`, plain},
		{`{"token":"t","account_id":false,"external_account_id":true}`, plain},
		{`{"token":"t","account_id":{},"external_account_id":[]}`, plain},
		{`{"token":"t","Account_ID":5}`, plain},
		{`{"token":"t","account_id":null,"account_id":5}`, parsedAnswer{token: "t", account: "5"}},
		{`{"token":"t","account_id":5,"account_id":"5.0"}`, parsedAnswer{token: "t", account: "5"}},
		{`{"token":"t","account_id":102681871}`, parsedAnswer{token: "t", account: "102681871"}},
		{`{"token":"t","account_id":"102681871"}`, parsedAnswer{token: "t", account: "102681871"}},
		{`{"token":"t","account_id":9223372036854775807}`, parsedAnswer{token: "t", account: "9223372036854775807"}},
		{`{"token":"t","account_id":9007199254740993.0}`, parsedAnswer{token: "t", account: "9007199254740993"}},
		{`{"token":"t","account_id":12345678901234567890123}`, parsedAnswer{token: "t", account: "12345678901234567890123"}},
		{`{"token":"t","account_id":4711.0}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":4.711e3}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":4.711E+3}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":471100e-2}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":"004711"}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":" 4711 "}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":[4711]}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":{"id":"4711"}}`, parsedAnswer{token: "t", account: "4711"}},
		{`{"token":"t","account_id":4712.0}`, parsedAnswer{token: "t", account: "4712"}},
		// An id that is not an integer belongs to another account.
		{`{"token":"t","account_id":4711.5}`, parsedAnswer{token: "t", account: "4711.5"}},
		{`{"token":"t","account_id":0.1}`, parsedAnswer{token: "t", account: "0.1"}},
		{`{"token":"t","account_id":1e-400}`, parsedAnswer{token: "t", account: "1e-400"}},
		{`{"token":"t","account_id":1e99999999}`, parsedAnswer{token: "t", account: "1e99999999"}},
		{`{"token":"t","account_id":-4711}`, parsedAnswer{token: "t", account: "-4711"}},
		{`{"token":"t","account_id":"0x1267"}`, parsedAnswer{token: "t", account: "0x1267"}},
		{`{"token":"t","account_id":"4_711"}`, parsedAnswer{token: "t", account: "4_711"}},
		{`{"token":"t","account_id":"Inf"}`, parsedAnswer{token: "t", account: "Inf"}},
		{`{"token":"t","account_id":"x"}`, parsedAnswer{token: "t", account: "x"}},
		{`{"token":"t","external_account_id":"5512990-642"}`, parsedAnswer{token: "t", external: "5512990-642"}},
		{`{"token":"t","external_account_id":5512990642}`, parsedAnswer{token: "t", external: "5512990642"}},
		{`{"token":"t","external_account_id":"007"}`, parsedAnswer{token: "t", external: "007"}},
		{`{"token":"t","external_account_id":["x"]}`, parsedAnswer{token: "t", external: "x"}},
		// An unreadable id may belong to another account, so the answer is malformed.
		{`{"token":"t","account_id":[4711,4712]}`, none},
		{`{"token":"t","account_id":{"id":4711,"program":4712}}`, none},
		{`{"token":"t","account_id":{"id":4711,"id":4712}}`, none},
		{`{"token":"t","account_id":[[[[4711]]]]}`, none},
		{`{"token":"t","account_id":4711,"account_id":4712}`, none},
		{`{"token":"t","external_account_id":{"a":"x","b":"y"}}`, none},
	} {
		got, err := s2sAnswering([]byte(test.body)).Issue(t.Context(), tokensource.Organization())
		if test.want == none {
			if err == nil {
				t.Errorf("%.100s\naccepted, want malformed_response", test.body)
			} else {
				wantKind(t, err, tokensource.ErrMalformedResponse)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.100s\ngot error %v, want a grant", test.body, err)
			continue
		}
		if got := (parsedAnswer{got.Token.Reveal(), got.ExpiresIn, got.AccountID, got.ExternalAccountID}); got != test.want {
			t.Errorf("%.100s\ngot %+v, want %+v", test.body, got, test.want)
		}
	}
}

// For an account with a Pismo id, the external id is not compared. A faulty
// external id must not invalidate the token.
func TestS2S_ForeignIDs(t *testing.T) {
	body := `{"token":"t","account_id":1,"external_account_id":{"a":"x","b":"y"}}`
	if _, err := s2sAnswering([]byte(body)).Issue(t.Context(), account(t, "1")); err != nil {
		t.Error(err)
	}
}

// An invalid expires_in never invalidates the token.
func TestS2S_ExpiresIn(t *testing.T) {
	for value, want := range map[string]time.Duration{
		`null`: 0, `600`: 10 * time.Minute, `"600"`: 10 * time.Minute, `" 600 "`: 10 * time.Minute, `600.0`: 10 * time.Minute,
		`6e2`: 10 * time.Minute, `"6E+2"`: 10 * time.Minute, `599.5`: 599500 * time.Millisecond, `1`: time.Second, `86400`: 24 * time.Hour,
		`86401`: 0, `600000`: 0, `2147483647`: 0, `1795514400`: 0, `1795514400000`: 0, `9223372036854775807`: 0, `9223372036854775808`: 0,
		`1e300`: 0, `1e999`: 0, `0`: 0, `-0`: 0, `0.5`: 0, `1e-10`: 0, `-600`: 0, `"-600"`: 0, `""`: 0, `"0"`: 0, `"600s"`: 0, `"10m"`: 0,
		`"PT10M"`: 0, `"never"`: 0, `"2026-11-24T10:00:00Z"`: 0, `"Inf"`: 0, `"NaN"`: 0, `"0x258"`: 0, `"1_000"`: 0, `"1,000"`: 0,
		`true`: 0, `false`: 0, `[600]`: 0, `{}`: 0, `{"seconds":600}`: 0, `600,"expires_in":300`: 5 * time.Minute, `0,"expires_in":300`: 5 * time.Minute,
	} {
		grant, err := s2sAnswering([]byte(`{"token":"t","expires_in":`+value+`}`)).Issue(t.Context(), tokensource.Organization())
		if err != nil {
			t.Errorf("%s: got error %v, want a grant", value, err)
		} else if grant.ExpiresIn != want {
			t.Errorf("%s: got %v, want %v", value, grant.ExpiresIn, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"token":"t","refresh":"r","account_id":123,"external_account_id":"x","roles":["a"]}`,
		`{"access_token":"t","expires_in":"3600"}`,
		`{"token":"t","expires_in":1e9}`,
		`{"token":"t","account_id":4.711e3}`,
		`{"token":null,"account_id":0}`,
		`{"token":"t"}{"token":"u"}`,
		`[{"token":"t","account_id":{"id":[1]}}]`,
		"<html>", "", "null", "[]",
	} {
		f.Add([]byte(seed))
	}
	texts := regexp.MustCompile(`^(` + regexp.QuoteMeta(tokensource.ErrMalformedResponse.Error()) + `|` +
		regexp.QuoteMeta(tokensource.ErrUnavailable.Error()) + `): the answer [-A-Za-z0-9 ,]+ \(status 201\)$`)
	f.Fuzz(func(t *testing.T, body []byte) {
		grant, err := s2sAnswering(body).Issue(t.Context(), tokensource.Organization())
		if err != nil {
			failure := failure(t, err)
			if failure.Kind != tokensource.ErrMalformedResponse && failure.Kind != tokensource.ErrUnavailable {
				t.Errorf("kind = %s, want malformed_response or unavailable", failure.Kind)
			}
			if !texts.MatchString(err.Error()) {
				t.Errorf("the text %q does not match %s", err, texts)
			}
			if grant != (tokensource.Grant{}) {
				t.Error("a grant comes with the error")
			}
			return
		}
		token := grant.Token.Reveal()
		if token == "" || grant.ExpiresIn < 0 || grant.ExpiresIn > 24*time.Hour {
			t.Errorf("accepted a token of length %d, expiring in %v", len(token), grant.ExpiresIn)
		}
		if len(body) > 64<<10 {
			t.Errorf("accepted an answer of %d bytes", len(body))
		}
	})
}
