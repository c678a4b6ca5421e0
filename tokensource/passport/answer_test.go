package passport_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// answered returns an issuer whose requests are all answered 201 with body.
func answered(body []byte) *passport.S2S {
	s := issuer("https://sandbox.pismolabs.io")
	s.Client = &http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode:    http.StatusCreated,
			Header:        http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(body)),
			Body:          io.NopCloser(bytes.NewReader(body)),
		}, nil
	})}
	return s
}

func TestAnAnswerIsReadTolerantlyAndNotMore(t *testing.T) {
	type grant struct {
		token     string
		expiresIn time.Duration
		account   string
		external  string
	}
	plain := grant{token: "t"}
	none := grant{}
	for _, test := range []struct {
		body string
		want grant // none: malformed_response
	}{
		// The published sample, and its like of OpenID and of OAuth2.
		{
			`{"tenant":"TN-ab8b08af","server_key":"5d82","account_id":123,"external_account_id":"5512990-642",
			  "program_ids":[1,2,3],"roles":["onboarding-server"],"token":"t","refresh":"r"}`,
			grant{"t", 0, "123", "5512990-642"},
		},
		{`{"token":"t","refresh_token":"r","expires_in":"3600"}`, grant{token: "t", expiresIn: time.Hour}},
		{`{"access_token":"t","token_type":"bearer","expires_in":600}`, grant{token: "t", expiresIn: 10 * time.Minute}},

		// The token.
		{`{"token":"t"}`, plain},
		{" \r\n\t{\"token\":\"t\"}\r\n", plain},
		{`{"token":"t","access_token":"other"}`, plain},
		{`{"token":"","access_token":"t"}`, plain},
		{`{"token":null,"access_token":"t"}`, plain},
		{`{"TOKEN":"other","Token":"other","token":"t"}`, plain},
		{`{"token":"t","TOKEN":"other"}`, plain},
		{`{"TOKEN":"t"}`, none},
		{`{"Access_Token":"t"}`, none},
		{`{"toKen":"t"}`, none}, // The Kelvin sign, which folds to a k.
		{`{"refresh":"t"}`, none},
		{`{"refresh_token":"t"}`, none},
		{`{"data":{"token":"t"}}`, none},
		{`{"token":""}`, none},
		{`{"token":null}`, none},
		{`{"token":1}`, none},
		{`{"token":true}`, none},
		{`{"token":["t"]}`, none},
		{`{"token":{"token":"t"}}`, none},
		{`{"token":1,"access_token":"t"}`, none},

		// Not an object, or not only one.
		{``, none},
		{` `, none},
		{`null`, none},
		{`"t"`, none},
		{`t`, none},
		{`[{"token":"t"}]`, none},
		{`{"token":"t"`, none},
		{`{"token":"t",}`, none},
		{`{"token":"t"}x`, none},
		{`{"token":"t"}{}`, none},
		{`{"token":"t"},`, none},
		{"\ufeff" + `{"token":"t"}`, none},
		{`{'token':'t'}`, none},
		{`token=t`, none},

		// expires_in.
		{`{"token":"t","expires_in":null}`, plain},
		{`{"token":"t","Expires_In":-1}`, plain},
		{`{"token":"t","expires_in":600}`, grant{token: "t", expiresIn: 10 * time.Minute}},
		{`{"token":"t","expires_in":"600"}`, grant{token: "t", expiresIn: 10 * time.Minute}},
		{`{"token":"t","expires_in":0.5}`, grant{token: "t", expiresIn: 500 * time.Millisecond}},
		{`{"token":"t","expires_in":"1.5"}`, grant{token: "t", expiresIn: 1500 * time.Millisecond}},
		{`{"token":"t","expires_in":6e2}`, grant{token: "t", expiresIn: 10 * time.Minute}},
		{`{"token":"t","expires_in":315360000}`, grant{token: "t", expiresIn: 10 * 365 * 24 * time.Hour}},
		{`{"token":"t","expires_in":0}`, none},
		{`{"token":"t","expires_in":"0"}`, none},
		{`{"token":"t","expires_in":-0}`, none},
		{`{"token":"t","expires_in":-600}`, none},
		{`{"token":"t","expires_in":"-600"}`, none},
		{`{"token":"t","expires_in":1e-10}`, none},
		{`{"token":"t","expires_in":315360001}`, none},
		{`{"token":"t","expires_in":1795514400}`, none}, // A date.
		{`{"token":"t","expires_in":1e300}`, none},
		{`{"token":"t","expires_in":1e999}`, none},
		{`{"token":"t","expires_in":9223372036854775808}`, none},
		{`{"token":"t","expires_in":""}`, none},
		{`{"token":"t","expires_in":" 600"}`, none},
		{`{"token":"t","expires_in":"10m"}`, none},
		{`{"token":"t","expires_in":"Inf"}`, none},
		{`{"token":"t","expires_in":"NaN"}`, none},
		{`{"token":"t","expires_in":"0x10"}`, none},
		{`{"token":"t","expires_in":"1_000"}`, none},
		{`{"token":"t","expires_in":true}`, none},
		{`{"token":"t","expires_in":[600]}`, none},
		{`{"token":"t","expires_in":{}}`, none},

		// The accounts.
		{`{"token":"t","account_id":null,"external_account_id":null}`, plain},
		{`{"token":"t","account_id":0,"external_account_id":0}`, plain},
		{`{"token":"t","account_id":"0","external_account_id":"0"}`, plain},
		{`{"token":"t","account_id":"","external_account_id":""}`, plain},
		{`{"token":"t","Account_ID":5}`, plain},
		{`{"token":"t","account_id":102681871}`, grant{token: "t", account: "102681871"}},
		{`{"token":"t","account_id":"102681871"}`, grant{token: "t", account: "102681871"}},
		{`{"token":"t","account_id":9223372036854775807}`, grant{token: "t", account: "9223372036854775807"}},
		{`{"token":"t","account_id":12345678901234567890123}`, grant{token: "t", account: "12345678901234567890123"}},
		{`{"token":"t","account_id":1.0}`, grant{token: "t", account: "1.0"}}, // Another account, to be sure.
		{`{"token":"t","account_id":"x"}`, grant{token: "t", account: "x"}},
		{`{"token":"t","external_account_id":"5512990-642"}`, grant{token: "t", external: "5512990-642"}},
		{`{"token":"t","external_account_id":5512990642}`, grant{token: "t", external: "5512990642"}},
		{`{"token":"t","account_id":true}`, none},
		{`{"token":"t","account_id":[1]}`, none},
		{`{"token":"t","account_id":{}}`, none},
		{`{"token":"t","external_account_id":false}`, none},
		{`{"token":"t","external_account_id":["x"]}`, none},
	} {
		got, err := answered([]byte(test.body)).Issue(t.Context(), tokensource.Organization())
		if test.want == none {
			if err == nil {
				t.Errorf("%s\naccepted, want malformed_response", test.body)
			} else {
				wantKind(t, err, tokensource.ErrMalformedResponse)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s\n%v (%v)", test.body, err, cause(failure(t, err)))
			continue
		}
		if got := (grant{got.Token.Reveal(), got.ExpiresIn, got.AccountID, got.ExternalAccountID}); got != test.want {
			t.Errorf("%s\ngot %+v, want %+v", test.body, got, test.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"token":"t","refresh":"r","account_id":123,"external_account_id":"x","roles":["a"]}`,
		`{"access_token":"t","expires_in":"3600"}`,
		`{"token":"t","expires_in":1e9}`,
		`{"token":null,"account_id":0}`,
		`{"token":"t"}{"token":"u"}`,
		"<html>", "", "null", "[]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		grant, err := answered(body).Issue(t.Context(), tokensource.Organization())
		if err != nil {
			failure := failure(t, err)
			if failure.Kind != tokensource.ErrMalformedResponse && failure.Kind != tokensource.ErrUnavailable {
				t.Errorf("kind = %s", failure.Kind)
			}
			if want := failure.Kind.Error() + " (status 201)"; err.Error() != want {
				t.Errorf("text = %q, want the constant %q", err, want)
			}
			if grant != (tokensource.Grant{}) {
				t.Error("a grant comes with the error")
			}
			return
		}
		token := grant.Token.Reveal()
		if token == "" || grant.ExpiresIn < 0 || grant.ExpiresIn > 10*365*24*time.Hour {
			t.Errorf("accepted a token of length %d, expiring in %v", len(token), grant.ExpiresIn)
		}
		if len(body) > 64<<10 {
			t.Errorf("accepted an answer of %d bytes", len(body))
		}
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Errorf("accepted what is no JSON object: %v", err)
		}
		if answer["token"] != token && answer["access_token"] != token {
			t.Error("the token is not the one of the answer")
		}
	})
}
