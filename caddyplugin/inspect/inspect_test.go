// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

const inspectedAccount = "102681871"

// issue returns a token of the fake server, for an account or the organization.
func issue(t *testing.T, config passporttest.Config, account tokensource.Account) string {
	t.Helper()
	fake := passporttest.NewInProcess(t, config)
	source, err := tokensource.New(tokensource.Config{Issuer: fake.Issuer()})
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

func accountOfID(t *testing.T) tokensource.Account {
	t.Helper()
	account, err := tokensource.ParseAccountID(inspectedAccount)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// inspect runs the command with arguments and standard input.
func inspect(in io.Reader, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := inspectCommand()
	cmd.SilenceUsage = true // Caddy's root command has the same setting.
	cmd.SetIn(in)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{}, args...))
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

// unsigned returns a token with a header and claims in JSON.
func unsigned(header, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode([]byte("a signature"))
}

func TestInspect_ShowsAccountAndLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := issue(t, passporttest.Config{}, accountOfID(t))
		time.Sleep(3 * time.Minute)
		for _, input := range []string{token, token + "\n", "Bearer " + token, "authorization: bearer " + token + "\r\n"} {
			out, _, err := inspect(strings.NewReader(input))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"account    " + inspectedAccount + "\n",
				"issued     2000-01-01T00:00:00Z\n",
				"expires    2000-01-01T00:10:00Z\n",
				"remaining  7m0s (of 10m0s)\n",
				`  alg  "HS512"` + "\n",
				`  account-id  "` + inspectedAccount + `"` + "\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in:\n%s", want, out)
				}
			}
		}
	})
}

func TestInspect_ShowsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := issue(t, passporttest.Config{TokenFormat: passporttest.TokenFormat2022}, tokensource.Organization())
		time.Sleep(11 * time.Minute)
		out, _, err := inspect(strings.NewReader(token))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"account    none named", "remaining  none, expired 1m0s ago (of 10m0s)\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in:\n%s", want, out)
			}
		}
	})
}

func TestInspect_PrintsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := issue(t, passporttest.Config{}, accountOfID(t))
		time.Sleep(11 * time.Minute)
		out, _, err := inspect(strings.NewReader(token), "--json")
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Account         string
			Issued, Expires time.Time
			Remaining       int `json:"remaining_seconds"`
			Header, Claims  map[string]any
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.Account != inspectedAccount || got.Remaining != -60 || !got.Expires.Equal(got.Issued.Add(10*time.Minute)) ||
			got.Header["alg"] != "HS512" || got.Claims["account-id"] != inspectedAccount {
			t.Errorf("got %+v", got)
		}
	})
}

func TestInspect_ShowsUnknownForms(t *testing.T) {
	for claims, want := range map[string]string{
		`{}`:                                     "issued     not said\nexpires    not said\nremaining  not said\n",
		`{"exp": 1}`:                             "issued     not said\nexpires    1970-01-01T00:00:01Z\n",
		`{"account_id": 9007199254740993}`:       "account    9007199254740993\n",
		`{"nested": {"a": [1, "x"]}}`:            `  nested  {"a":[1,"x"]}`,
		`{"iat": 32503680000}`:                   "issued     3000-01-01T00:00:00Z\n",
		`{"iat": 32503680000, "exp": 1}`:         "issued in the future by this machine's clock",
		"{\"a\": \"\\u009b31m\\u202e\\u001b[\"}": `  a  "\u009b31m\u202e\u001b["`,
	} {
		out, _, err := inspect(strings.NewReader(unsigned(`{"alg":"unheard-of"}`, claims)))
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q is missing, with error %v, in:\n%s", claims, want, err, out)
		}
	}
}

// The error must not repeat the input.
func TestInspect_RefusesUnreadableInput(t *testing.T) {
	const sentinel = "SENTINEL"
	header := `{"alg":"HS512"}`
	for name, test := range map[string]struct {
		in   string
		args []string
		want error
	}{
		"nothing":             {"", nil, errNothing},
		"white space":         {" \r\n", nil, errNothing},
		"only a scheme":       {"Bearer \n", nil, errNothing},
		"an argument":         {unsigned(header, "{}"), []string{sentinel}, errArgument},
		"a flag":              {unsigned(header, "{}"), []string{"--token=" + sentinel}, errFlag},
		"a short flag":        {unsigned(header, "{}"), []string{"-" + sentinel}, errFlag},
		"the answer in JSON":  {`{"token":"` + sentinel + `"}`, nil, errNotToken},
		"two tokens":          {sentinel + "\n" + sentinel, nil, errNotToken},
		"an opaque token":     {sentinel, nil, errOpaque},
		"cut claims":          {unsigned(header, `{"iat":1,"`+sentinel), nil, errMalformed},
		"no base64":           {sentinel + "." + sentinel + "." + sentinel, nil, errMalformed},
		"a broken signature":  {unsigned(header, "{}") + "zz", nil, errMalformed},
		"claims not JSON":     {unsigned(header, sentinel), nil, errMalformed},
		"times not numbers":   {unsigned(header, `{"exp":"`+sentinel+`"}`), nil, errTimes},
		"times without end":   {unsigned(header, `{"exp":292277026596}`), nil, errTimes},
		"times beyond floats": {unsigned(header, `{"iat":1e300}`), nil, errTimes},
		"too much":            {strings.Repeat(sentinel, maxInput), nil, errTooLong},
	} {
		out, errs, err := inspect(strings.NewReader(test.in), test.args...)
		if err == nil || err.Error() != test.want.Error() {
			t.Errorf("%s: got error %v, want %v", name, err, test.want)
		}
		if all := fmt.Sprint(out, errs, err); strings.Contains(all, sentinel) {
			t.Errorf("%s: the error repeats the input: %s", name, all)
		}
		if out != "" {
			t.Errorf("%s: printed %q", name, out)
		}
	}
}

// The signature is not shown either.
func TestInspect_ShowsNoToken(t *testing.T) {
	for _, vintage := range []passporttest.TokenFormat{passporttest.TokenFormat2022, passporttest.TokenFormat2025} {
		token := issue(t, passporttest.Config{TokenFormat: vintage}, accountOfID(t))
		for _, args := range [][]string{nil, {"--json"}} {
			out, errs, err := inspect(strings.NewReader(token), args...)
			if err != nil {
				t.Fatal(err)
			}
			for part := range strings.SplitSeq(token, ".") {
				if strings.Contains(out+errs, part) {
					t.Errorf("a part of the token is shown:\n%s", out)
				}
			}
		}
	}
}
