// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// digits is the pattern of an account id in a header field.
var digits = regexp.MustCompile(`[0-9]{1,19}`)

// wantAccount checks that a function finds the account with that id. If id is
// "", it checks that the function refuses the request.
func wantAccount(t *testing.T, find middleware.AccountFunc, r *http.Request, id string) {
	t.Helper()
	account, err := find(r)
	switch {
	case id == "" && err == nil && account != tokensource.Account{}:
		t.Errorf("found account %q, want none", account.ID())
	case id == "" && err != nil && !errors.Is(err, middleware.ErrForbidden):
		t.Errorf("got error %v, want ErrForbidden", err)
	case id != "" && (err != nil || account != acct(t, id)):
		t.Errorf("found account %q and error %v, want account %q", account.ID(), err, id)
	}
}

func TestFixed_IgnoresRequest(t *testing.T) {
	r := inbound(t, "Authorization", "Bearer "+bob, "X-Account-Id", bob)
	r.SetPathValue("accountID", bob)
	r = r.WithContext(tokensource.ContextWithAccount(r.Context(), acct(t, bob)))
	wantAccount(t, middleware.FixedAccount(acct(t, alice)), r, alice)
}

func TestFromContext_TakesOnlyAnAccount(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"an account":                {acct(t, alice), alice},
		"an account id":             {alice, alice},
		"the zero account":          {tokensource.Account{}, ""},
		"an empty string":           {"", ""},
		"a string without an id":    {"organization", ""},
		"an id with a leading zero": {"0" + alice, ""},
		"an id with a space":        {" " + alice, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := inbound(t)
			r = r.WithContext(context.WithValue(r.Context(), key{}, test.value))
			wantAccount(t, middleware.FromContext(key{}), r, test.want)
		})
	}
}

func TestFromContext_NilKeyTakesContextAccount(t *testing.T) {
	find := middleware.FromContext(nil)
	r := inbound(t)
	wantAccount(t, find, r.WithContext(tokensource.ContextWithAccount(r.Context(), acct(t, alice))), alice)
	wantAccount(t, find, r.WithContext(tokensource.ContextWithAccount(r.Context(), tokensource.Account{})), "")
	organization, err := find(r.WithContext(tokensource.ContextWithAccount(r.Context(), tokensource.Organization())))
	if err != nil || organization != tokensource.Organization() {
		t.Errorf("got %v and error %v, want the value from the context", organization, err)
	}
}

func TestFromPath_TakesMatchedWildcard(t *testing.T) {
	for target, want := range map[string]string{
		"/accounts/" + alice + "/cards":         alice,
		"/accounts/1%302681871/cards":           alice, // The platform decodes the path in the same way.
		"/accounts/0" + alice + "/cards":        "",
		"/accounts/+" + alice + "/cards":        "",
		"/accounts/%20" + alice + "/cards":      "",
		"/accounts/" + alice + "%00/cards":      "",
		"/accounts/" + alice + "%2F" + bob:      "",
		"/accounts/" + alice + "%2F..%2F" + bob: "",
		"/accounts/%D9%A1/cards":                "", // Arabic-Indic one
		"/accounts/1e3/cards":                   "",
		"/accounts/-/cards":                     "",
	} {
		t.Run(target, func(t *testing.T) {
			find := middleware.FromPath("accountID")
			mux := http.NewServeMux()
			matched := false
			mux.HandleFunc("/accounts/{accountID}/", func(_ http.ResponseWriter, r *http.Request) {
				matched = true
				wantAccount(t, find, r, want)
			})
			mux.HandleFunc("/accounts/{accountID}", func(_ http.ResponseWriter, r *http.Request) {
				matched = true
				wantAccount(t, find, r, want)
			})
			mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
			check(t, "matched", matched, true)
		})
	}
}

func TestFromHeader_TakesOneFullMatch(t *testing.T) {
	const name = "X-Account-Id"
	for label, test := range map[string]struct {
		header  http.Header
		pattern string // "" is digits
		want    string
	}{
		"the header":                     {http.Header{name: {alice}}, "", alice},
		"none":                           {http.Header{}, "", ""},
		"an empty one":                   {http.Header{name: {""}}, "", ""},
		"one without values":             {http.Header{name: {}}, "", ""},
		"two":                            {http.Header{name: {alice, bob}}, "", ""},
		"the same twice":                 {http.Header{name: {alice, alice}}, "", ""},
		"a list":                         {http.Header{name: {alice + ", " + bob}}, "", ""},
		"text before it":                 {http.Header{name: {"x" + alice}}, "", ""},
		"text after it":                  {http.Header{name: {alice + "x"}}, "", ""},
		"a line after it":                {http.Header{name: {alice + "\n" + bob}}, `(?m)^[0-9]+$`, ""},
		"no match with the pattern":      {http.Header{name: {alice}}, `2[0-9]+`, ""},
		"a pattern that matches a part":  {http.Header{name: {alice}}, `1`, ""},
		"a pattern with a short match":   {http.Header{name: {alice}}, `1|[0-9]+`, alice},
		"a lazy pattern":                 {http.Header{name: {alice}}, `[0-9]+?`, alice},
		"a pattern that matches nothing": {http.Header{name: {alice}}, `[^\s\S]`, ""},
		"a pattern that matches all":     {http.Header{name: {"organization"}}, `.*`, ""},
		"a leading zero":                 {http.Header{name: {"0" + alice}}, "", ""},
		"a twin with underscores":        {http.Header{name: {alice}, "X_account_id": {bob}}, "", ""},
		"only a twin":                    {http.Header{"X_account_id": {bob}}, "", ""},
		"a twin in capitals":             {http.Header{name: {alice}, "X_ACCOUNT_ID": {bob}}, "", ""},
		"half a twin":                    {http.Header{name: {alice}, "X-Account_id": {bob}}, "", ""},
		"a twin without values":          {http.Header{name: {alice}, "X_account_id": nil}, "", ""},
		"a key in another case":          {http.Header{name: {alice}, "x-account-id": {bob}}, "", ""},
		"only a key in another case":     {http.Header{"x-account-id": {bob}}, "", ""},
		"a cousin":                       {http.Header{name: {alice}, "X-Account-Ids": {bob}}, "", alice},
	} {
		t.Run(label, func(t *testing.T) {
			pattern := digits
			if test.pattern != "" {
				pattern = regexp.MustCompile(test.pattern)
			}
			r := inbound(t)
			r.Header = test.header.Clone()
			r.Header.Set("X-Other", "stays")
			wantAccount(t, fromHeader(t, "x-account-ID", pattern), r, test.want)
			for left := range r.Header {
				if left != "X-Other" && left != "X-Account-Ids" {
					t.Errorf("%s is passed on", left)
				}
			}
			check(t, "another header", r.Header.Get("X-Other"), "stays")
		})
	}
}

// For a header with underscores, the header with hyphens is the twin.
func TestFromHeader_UnderscoreNameHasTwin(t *testing.T) {
	find := fromHeader(t, "X_Account_Id", digits)
	wantAccount(t, find, inbound(t, "X_account_id", alice), alice)
	wantAccount(t, find, inbound(t, "X_account_id", alice, "X-Account-Id", bob), "")
}

// FromHeader must not return a function that denies every request.
func TestFromHeader_ReportsFaults(t *testing.T) {
	for _, test := range []struct {
		name    string
		pattern *regexp.Regexp
		fields  string
	}{
		{"", digits, "FromHeader: name"},
		{"X-Account-Id", nil, "FromHeader: pattern"},
		{"", nil, "FromHeader: name, FromHeader: pattern"},
		{"X-Account-Id:", digits, "FromHeader: name"},
		{"X Account", digits, "FromHeader: name"},
		{" X-Account-Id", digits, "FromHeader: name"},
		{"X-Account\n", digits, "FromHeader: name"},
		{"X-Kontö", digits, "FromHeader: name"},
		{"host", digits, "FromHeader: name"}, // net/http moves the field to Request.Host.
		{"Transfer-Encoding", digits, "FromHeader: name"},
		{"trailer", digits, "FromHeader: name"},
	} {
		find, err := middleware.FromHeader(test.name, test.pattern)
		check(t, test.name+": a function", find != nil, false)
		check(t, test.name+": faults in", strings.Join(faultyFields(t, err), ", "), test.fields)
	}
}

func TestFromHeader_LeavesPatternUnchanged(t *testing.T) {
	pattern := regexp.MustCompile(`1|12`)
	fromHeader(t, "X-Account-Id", pattern)
	check(t, "the match", pattern.FindString("12"), "1")
}

// A client's own field must not reach the platform or select an account, in any
// spelling.
func TestFromHeader_DropsForgedSpellings(t *testing.T) {
	var seen http.Header
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })})
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Account = fromHeader(t, "X-Account-Id", digits) }))
	for name, test := range map[string]struct {
		header []string
		status int
	}{
		"as configured":            {[]string{"X-Account-Id", alice}, http.StatusOK},
		"in small letters":         {[]string{"x-account-id", alice}, http.StatusOK},
		"named as hop-by-hop":      {[]string{"X-Account-Id", alice, "Connection", "X-Account-Id"}, http.StatusOK},
		"with a twin":              {[]string{"X-Account-Id", alice, "X_Account_Id", bob}, http.StatusForbidden},
		"with a hop-by-hop twin":   {[]string{"X-Account-Id", alice, "x_account-id", bob, "Connection", "x_account-id"}, http.StatusForbidden},
		"twice":                    {[]string{"X-Account-Id", alice, "X-Account-Id", bob}, http.StatusForbidden},
		"twice in different cases": {[]string{"X-Account-Id", alice, "x-ACCOUNT-id", bob}, http.StatusForbidden},
		"in a twin only":           {[]string{"X_ACCOUNT_ID", bob}, http.StatusForbidden},
		"announced as a trailer":   {[]string{"Trailer", "X-Account-Id"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			seen = nil
			req := s.request(t, http.MethodGet, "/", nil)
			for i := 0; i < len(test.header); i += 2 { // Keeps the spelling of the name.
				req.Header[test.header[i]] = append(req.Header[test.header[i]], test.header[i+1])
			}
			check(t, "status", s.send(t, req).status, test.status)
			for name := range seen {
				if strings.Contains(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "account-id") {
					t.Errorf("%s reached the platform", name)
				}
			}
		})
	}
	if counts := p.Counts().Accounts[bob]; counts != (passporttest.AccountCounts{}) {
		t.Errorf("a client acted for another account: %+v", counts)
	}
}

// canonical reports whether id is an account id in canonical form and in range.
func canonical(id string) bool {
	n, ok := new(big.Int).SetString(id, 10)
	return ok && n.Sign() > 0 && n.IsInt64() && n.String() == id
}

// ids are the seeds of a fuzz test.
var ids = []string{
	alice, "1", "0", "", "00", "01", "+1", "-1", "1e3", "1E3", "1.0", "0x1", "1_000", " 1", "1 ", "1\n", "\t1", "1\x00", "\x001", "\x7f1", "1\r\nX: y",
	"9223372036854775807", "9223372036854775808", "999999999999999999", "9999999999999999999", "10000000000000000000", "18446744073709551617",
	"٣", "１", "𝟙", "1\u200b", "\ufeff1", "½", "Ⅷ", "null", "true", "organization", "1,2", "1;2", "1/2", "..", "[1]", "{}", `"1"`, "NaN", "Infinity", "1e0", "10e-1",
}

func FuzzFromHeader_RequiresCanonicalID(f *testing.F) {
	for _, id := range ids {
		f.Add(id)
	}
	type contextKey struct{}
	fromHeader := fromHeader(f, "X-Account-Id", regexp.MustCompile(`(?s).*`))
	fromContext := middleware.FromContext(contextKey{})
	fromPath := middleware.FromPath("accountID")
	f.Fuzz(func(t *testing.T, id string) {
		want := ""
		if canonical(id) {
			want = id
		}
		r := new(http.Request)
		r.Header = http.Header{"X-Account-Id": {id}}
		wantAccount(t, fromHeader, r, want)
		wantAccount(t, fromContext, r.WithContext(context.WithValue(r.Context(), contextKey{}, id)), want)
		r.Pattern = "/accounts/{accountID}"
		r.SetPathValue("accountID", id)
		wantAccount(t, fromPath, r, want)
	})
}

func FuzzFromPath_RequiresCanonicalID(f *testing.F) {
	for _, id := range ids {
		f.Add(id)
		f.Add(url.PathEscape(id))
	}
	f.Fuzz(func(t *testing.T, segment string) {
		u, err := url.Parse("/accounts/" + segment)
		if err != nil || strings.ContainsAny(segment, "?#") {
			return
		}
		want := ""
		if id, err := url.PathUnescape(segment); err == nil && canonical(id) {
			want = id
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/accounts/{accountID}", func(_ http.ResponseWriter, r *http.Request) {
			wantAccount(t, middleware.FromPath("accountID"), r, want)
		})
		mux.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: http.MethodGet, URL: u, Host: "proxy"})
	})
}
