// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// Each row of the table of claims: the claims that are sent and left out.
func TestOpenID_Assertion(t *testing.T) {
	organization := tokensource.Organization()
	for _, test := range []struct {
		name    string
		account tokensource.Account
		change  func(*passport.OpenID)
		claims  map[string]string // beside the common ones, as JSON
		header  map[string]any
	}{
		{"organization", organization, nil, nil, nil},
		{"organization with uid", organization, func(o *passport.OpenID) { o.OrganizationUID = "TN-x" }, map[string]string{"uid": `"TN-x"`}, nil},
		{"account", account(t, "9223372036854775807"), nil, map[string]string{"uid": `"9223372036854775807"`}, nil},
		{"external account", external(t, "ext/42"), nil, map[string]string{"external_account_id": `"ext/42"`}, nil},
		{"external account with uid", external(t, "ext-42"), func(o *passport.OpenID) {
			o.UID = func(tokensource.Account) string { return "42" }
		}, map[string]string{"external_account_id": `"ext-42"`, "uid": `"42"`}, nil},
		{"group", organization, func(o *passport.OpenID) { o.Group = "pismo-v2:bankaccounts:rw" }, map[string]string{"pismo": `{"group":"pismo-v2:bankaccounts:rw"}`}, nil},
		{"tenant in lower case", organization, func(o *passport.OpenID) { o.TenantID = "tn-AB" }, map[string]string{"tenant_id": `"tn-AB"`}, nil},
		{"custom claims", organization, func(o *passport.OpenID) {
			o.Claims = func(context.Context, tokensource.Account) (map[string]any, error) {
				return map[string]any{"operator": "ops@example.com", "level": 3}, nil
			}
		}, map[string]string{"customClaims": `{"level":3,"operator":"ops@example.com"}`}, nil},
		{"no custom claims", organization, func(o *passport.OpenID) {
			o.Claims = func(context.Context, tokensource.Account) (map[string]any, error) { return nil, nil }
		}, nil, nil},
		{"key id", organization, func(o *passport.OpenID) { o.KeyID = "key-7" }, nil, map[string]any{"kid": "key-7"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			endpoint := new(assertions)
			o := openIDIssuer(serve(t, endpoint.ServeHTTP), passport.SignerKey(keyOne()))
			if test.change != nil {
				test.change(o)
			}
			if _, err := o.Issue(t.Context(), test.account); err != nil {
				t.Fatal(err)
			}
			header, claims := endpoint.last(t)
			wantHeader := map[string]any{"alg": "RS256", "typ": "JWT"}
			maps.Copy(wantHeader, test.header)
			if !maps.Equal(header, wantHeader) {
				t.Errorf("header %v, want %v", header, wantHeader)
			}
			want := map[string]string{
				"iss": `"issuer@pismo.example"`, "sub": `"TN-sample@pismo.example"`, "aud": `"https://audience.pismo.example"`,
				"tenant_id": `"TN-ab8b08af"`, "pismo": `{"group":"pismo-v1:accounts:rw"}`,
			}
			maps.Copy(want, test.claims)
			for _, name := range []string{"iat", "exp"} {
				want[name] = string(claims[name].(json.Number))
			}
			if got := encoded(t, claims); !maps.Equal(got, want) {
				t.Errorf("claims %v, want %v", got, want)
			}
		})
	}
}

// encoded returns the claims as JSON.
func encoded(t *testing.T, claims jwt.MapClaims) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, value := range claims {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

func TestOpenID_AssertionTimes(t *testing.T) {
	for _, test := range []struct {
		name           string
		lifetime, want time.Duration
	}{{"default", 0, time.Hour}, {"a minute", time.Minute, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			endpoint := new(assertions)
			o := openIDIssuer("http://127.0.0.1", passport.SignerKey(keyOne()))
			o.Client, o.AssertionLifetime = overPipe(t, endpoint.ServeHTTP), test.lifetime
			time.Sleep(1500 * time.Millisecond)
			if _, err := o.Issue(t.Context(), tokensource.Organization()); err != nil {
				t.Fatal(err)
			}
			_, claims := endpoint.last(t)
			issued, _ := claims["iat"].(json.Number).Int64()
			expires, _ := claims["exp"].(json.Number).Int64()
			if want := time.Now().Unix() - 30; issued != want || expires != want+int64(test.want.Seconds()) {
				t.Errorf("%s: iat %d and exp %d, want %d and %s later", test.name, issued, expires, want, test.want)
			}
		})
	}
}

func TestOpenID_Answers(t *testing.T) {
	for _, test := range []struct {
		name, body string
		status     int
		want       time.Duration
	}{
		{"documented", `{"token":"token","refresh_token":"r","expires_in":"3600"}`, 201, time.Hour},
		{"number", `{"token":"token","refresh_token":"r","expires_in":600}`, 200, 10 * time.Minute},
		{"none", `{"token":"token"}`, 200, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := openIDIssuer(serve(t, answer(test.status, test.body)), passport.SignerKey(keyOne()))
			o.Bare = true
			grant, err := o.Issue(t.Context(), tokensource.Organization())
			if err != nil {
				t.Fatal(err)
			}
			if grant.Token.Reveal() != "token" || grant.ExpiresIn != test.want || !grant.Bare {
				t.Errorf("expires in %s, bare %t", grant.ExpiresIn, grant.Bare)
			}
		})
	}
}

func TestOpenID_Request(t *testing.T) {
	paths := make(chan string, 2)
	endpoint := new(assertions)
	o := openIDIssuer(serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths <- r.Method + " " + r.URL.Path
		endpoint.ServeHTTP(w, r)
	})+"/gateway/", passport.SignerKey(keyOne()))
	o.Header = http.Header{"Apikey": {"gateway"}}
	for _, test := range []struct{ path, want string }{
		{"", "POST /gateway/passport/v1/oauth2/token"}, {"/v1/oauth2/token", "POST /gateway/v1/oauth2/token"},
	} {
		o.TokenPath = test.path
		if _, err := o.Issue(t.Context(), tokensource.Organization()); err != nil {
			t.Fatal(err)
		}
		if got := <-paths; got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
		if h := endpoint.header; h.Get("Content-Type") != "application/json" || h.Get("Apikey") != "gateway" || h.Get("Authorization") != "" {
			t.Errorf("got the header %v, want the content type and the header of the gateway, without Authorization", h)
		}
	}
}

func TestOpenID_ValidateReportsEveryFault(t *testing.T) {
	o := &passport.OpenID{BaseURL: "http://pismo.example", AssertionLifetime: 2 * time.Hour, Header: http.Header{"Authorization": {"x"}}}
	err := o.Validate()
	for _, field := range []string{"BaseURL", "Key", "Issuer", "Subject", "Audience", "TenantID", "Group", "AssertionLifetime", `Header["Authorization"]`} {
		if !strings.Contains(err.Error(), "OpenID."+field+": ") {
			t.Errorf("no fault of %s: %v", field, err)
		}
	}
	_, issueErr := o.Issue(t.Context(), tokensource.Organization())
	wantKind(t, issueErr, tokensource.ErrMisconfigured)
	if err := openIDIssuer("https://pismo.example", passport.SignerKey(keyOne())).Validate(); err != nil {
		t.Errorf("faults of a valid OpenID: %v", err)
	}
	if err := (*passport.OpenID)(nil).Validate(); err == nil {
		t.Error("nil is valid")
	}
}

func TestOpenID_ClaimsMayNotReplaceOurs(t *testing.T) {
	endpoint := new(assertions)
	o := openIDIssuer(serve(t, endpoint.ServeHTTP), passport.SignerKey(keyOne()))
	for _, name := range []string{"iss", "sub", "aud", "iat", "exp", "tenant_id", "uid", "account_id", "external_account_id", "pismo", "customClaims"} {
		o.Claims = func(context.Context, tokensource.Account) (map[string]any, error) {
			return map[string]any{name: "x"}, nil
		}
		_, err := o.Issue(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrMisconfigured)
		if !strings.Contains(err.Error(), "OpenID.Claims: the claim "+name+" ") {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
	if len(endpoint.bodies) != 0 {
		t.Error("a request was sent")
	}
}

func TestOpenID_ClaimsFail(t *testing.T) {
	o := openIDIssuer("http://127.0.0.1:1", passport.SignerKey(keyOne()))
	for _, test := range []struct {
		err  error
		want tokensource.ErrorKind
	}{
		{errors.New(sentinel), tokensource.ErrMisconfigured},
		{context.DeadlineExceeded, tokensource.ErrTimeout},
		{context.Canceled, tokensource.ErrMisconfigured},
		{tokensource.NewError(tokensource.ErrOverloaded, nil), tokensource.ErrOverloaded},
	} {
		o.Claims = func(context.Context, tokensource.Account) (map[string]any, error) { return nil, test.err }
		_, err := o.Issue(t.Context(), tokensource.Organization())
		wantKind(t, err, test.want)
		if strings.Contains(err.Error(), sentinel) {
			t.Error("the text of the function's error is shown")
		}
	}
	o.Claims = func(context.Context, tokensource.Account) (map[string]any, error) {
		return map[string]any{"c": func() {}}, nil
	}
	_, err := o.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
}

func TestOpenID_ErrorNamesClockDifference(t *testing.T) {
	for _, test := range []struct {
		name string
		skew time.Duration
		want string
	}{
		{"ahead", -2 * time.Hour, "differs by 7200 s (it is ahead"},
		{"behind", 2 * time.Hour, "differs by 7200 s (it is behind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(24 * time.Hour) // The clock of a bubble starts at the year 2000.
				s := passporttest.NewInProcess(t, passporttest.Config{ClockSkew: test.skew})
				_, err := sourceOf(t, registered(t, s, keyOne())).Token(t.Context(), tokensource.Organization())
				wantKind(t, err, tokensource.ErrCredentialsRejected)
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %q, want %q", err, test.want)
				}
			})
		})
	}
}

// The Date of a cached answer does not show the endpoint's clock.
func TestOpenID_IgnoresDateOfCaches(t *testing.T) {
	for name, headers := range map[string][]string{
		"age": {"Date", "Mon, 02 Jan 2006 15:04:05 GMT", "Age", "0"}, "none": {"Date", ""},
	} {
		o := openIDIssuer(serve(t, answer(401, `{"message":"Invalid credentials"}`, headers...)), passport.SignerKey(keyOne()))
		_, err := o.Issue(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrCredentialsRejected)
		if strings.Contains(err.Error(), "clock") {
			t.Errorf("%s: the error names the clock: %v", name, err)
		}
	}
}

// A clock that is slightly ahead of the endpoint's clock does no harm.
func TestOpenID_ToleratesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{ClockSkew: -29 * time.Second})
		if _, err := sourceOf(t, registered(t, s, keyOne())).Token(t.Context(), tokensource.Organization()); err != nil {
			t.Error(err)
		}
	})
}

// Issuers share nothing, except a Key that their user gives to both.
func TestOpenID_SideBySide(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&keyOne().PublicKey)
	key := passport.FileKey(keyFile(t, keyOne()), keyFile(t, keyTwo()))
	issuers := []tokensource.Issuer{s.OpenIDIssuer(key, accountsGroup), s.OpenIDIssuer(key, "pismo-v1:orgs:rw"), s.Issuer()}
	var wait sync.WaitGroup
	for _, issuer := range issuers {
		source := sourceOf(t, issuer)
		for i := range 8 {
			wait.Go(func() {
				if _, err := source.Token(t.Context(), account(t, strconv.Itoa(1+i%4))); err != nil {
					t.Error(err)
				}
				_ = fmt.Sprintf("%+v", issuer)
			})
		}
	}
	wait.Wait()
	if n := s.Counts().Issued; n != 4*len(issuers) {
		t.Errorf("%d tokens were issued, want %d", n, 4*len(issuers))
	}
}
