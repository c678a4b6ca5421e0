// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// wantMisuse checks that a request is answered as a mistake of the program. The
// log names the mistake. The answer does not.
func wantMisuse(t *testing.T, find middleware.AccountFunc, r *http.Request, names ...string) {
	t.Helper()
	account, err := find(r)
	check(t, "account", account, tokensource.Account{})
	check(t, "errors.Is misconfigured", errors.Is(err, tokensource.ErrMisconfigured), true)
	check(t, "errors.Is forbidden", errors.Is(err, middleware.ErrForbidden), false)
	wantPermanent(t, err, true)

	logger, logged := newLogger()
	m := newMiddleware(t, middleware.Config{
		Source:  newSource(t, tokensource.Config{Issuer: grantingIssuer("token")}),
		Account: find,
		Logger:  logger,
	})
	answer := call(m.Wrap(http.NotFoundHandler()), r)
	wantProblem(t, answer, http.StatusInternalServerError, "misconfigured")
	lines := logged.lines()
	if len(lines) != 1 || lines[0]["level"] != "ERROR" || lines[0]["error_type"] != "misconfigured" {
		t.Errorf("logged %v, want one error of type misconfigured", lines)
		return
	}
	text, _ := lines[0]["error"].(string)
	for _, name := range names {
		check(t, name+" in the log", strings.Contains(text, name), true)
		check(t, name+" in the answer", strings.Contains(answer.body, name), false)
	}
}

// A mistake in the program's routes must not be answered 403.
func TestFromPath_NamesAMissingWildcard(t *testing.T) {
	for name, test := range map[string]struct {
		pattern, wildcard string
		names             []string
	}{
		"no pattern":              {"", "accountID", []string{`FromPath("accountID")`, "{accountID}"}},
		"another wildcard":        {"GET /accounts/{id}/", "accountID", []string{`FromPath("accountID")`, `"GET /accounts/{id}/"`}},
		"another case":            {"/accounts/{accountId}/", "accountID", []string{"{accountID}"}},
		"a longer name":           {"/accounts/{accountID2}/", "accountID", []string{"{accountID}"}},
		"the end of another":      {"/accounts/{myaccountID}/", "accountID", []string{"{accountID}"}},
		"the mux in front of gin": {"/", "accountID", []string{`"/"`}},
		"a literal":               {"/accountID/", "accountID", []string{"{accountID}"}},
		"no name":                 {"/accounts/{accountID}/", "", []string{`FromPath("")`}},
		"with braces":             {"/accounts/{accountID}/", "{accountID}", []string{`FromPath("{accountID}")`}},
		"echo without its values": {"/v1/:accountID", "accountID", []string{`"/v1/:accountID"`, "SetPathValue"}},
		"a missing star":          {"/accounts/{accountID}", "*", []string{`FromPath("*")`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := inbound(t)
			r.Pattern, r.URL.Path = test.pattern, "/v1/"+alice
			wantMisuse(t, middleware.FromPath(test.wildcard), r, test.names...)
		})
	}
}

// A client that leaves a value out of its path makes its own mistake. The
// program must not look misconfigured.
func TestFromPath_EmptyWildcardIsForbidden(t *testing.T) {
	for pattern, wildcard := range map[string]string{
		"/accounts/{accountID}":          "accountID",
		"GET /accounts/{accountID}/{$}":  "accountID",
		"/accounts/{accountID...}":       "accountID",
		"/accounts/{accountID:[0-9]*}/x": "accountID", // chi
		"/accounts/*":                    "*",         // chi
	} {
		r := inbound(t)
		r.Pattern = pattern
		r.SetPathValue(wildcard, "")
		wantAccount(t, middleware.FromPath(wildcard), r, "")
	}
	for pattern, path := range map[string]string{ // echo
		"/accounts/:accountID":   "/accounts/",
		"/accounts/:accountID/x": "/accounts//x",
		"/:accountID":            "/",
	} {
		r := inbound(t)
		r.Pattern, r.URL.Path = pattern, path
		wantAccount(t, middleware.FromPath("accountID"), r, "")
	}
	mux := http.NewServeMux()
	matched := false
	mux.HandleFunc("/accounts/{accountID...}", func(_ http.ResponseWriter, r *http.Request) {
		matched = true
		wantAccount(t, middleware.FromPath("accountID"), r, "")
	})
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/accounts/", nil))
	check(t, "matched", matched, true)
}

// chi sets path values itself. It sets the pattern only since version 5.2.
func TestFromPath_TakesAValueWithoutAPattern(t *testing.T) {
	r := inbound(t)
	r.SetPathValue("accountID", alice)
	wantAccount(t, middleware.FromPath("accountID"), r, alice)
}

// A middleware around a mux runs before the mux has matched a pattern.
func TestFromPath_AroundTheMuxIsAMistake(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/accounts/{accountID}/", func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	source := newSource(t, tokensource.Config{Issuer: grantingIssuer("token")})
	logger, logged := newLogger()
	m := newMiddleware(t, middleware.Config{Source: source, Account: middleware.FromPath("accountID"), Logger: logger})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/accounts/"+alice+"/", nil)
	wantProblem(t, call(m.Wrap(mux), r), http.StatusInternalServerError, "misconfigured")
	check(t, "log", strings.Contains(logged.String(), "has matched no pattern"), true)
}

// The authentication stores the account elsewhere, as gin.Context.Set does.
// Every request fails.
func TestFromContext_NamesAMissingKey(t *testing.T) {
	type key struct{}
	type other struct{}
	r := inbound(t)
	wantMisuse(t, middleware.FromContext(nil), r, "FromContext(nil)", "ContextWithAccount")

	ctx := tokensource.ContextWithAccount(r.Context(), acct(t, bob))
	ctx = context.WithValue(ctx, other{}, bob)
	ctx = context.WithValue(ctx, "accountID", bob) //nolint:staticcheck // The test imitates a careless program.
	wantMisuse(t, middleware.FromContext(key{}), r.WithContext(ctx), "FromContext(middleware_test.key)", "WithValue")
	wantMisuse(t, middleware.FromContext("account"), r.WithContext(ctx), `FromContext("account")`, "gin")

	ctx = context.WithValue(r.Context(), key{}, alice)
	wantMisuse(t, middleware.FromContext(nil), r.WithContext(ctx), "FromContext(nil)")
}

// Values in a context come from the program. They do not come from the client.
func TestFromContext_NamesAWrongType(t *testing.T) {
	type key struct{}
	type named string
	for _, test := range []struct {
		value    any
		typeName string
	}{
		{102681871, "int"},
		{int64(102681871), "int64"},
		{1e8, "float64"},
		{[]byte(alice), "[]uint8"},
		{named(alice), "middleware_test.named"},
		{new(tokensource.Account), "*tokensource.Account"},
		{json.Number(alice), "json.Number"},
	} {
		r := inbound(t)
		r = r.WithContext(context.WithValue(r.Context(), key{}, test.value))
		wantMisuse(t, middleware.FromContext(key{}), r, "middleware_test.key", "of type "+test.typeName)
	}
}

// A program that ignores the error of ParseAccountID uses the zero Account.
func TestFixed_ZeroAccountIsAMistake(t *testing.T) {
	wantMisuse(t, middleware.FixedAccount(tokensource.Account{}), inbound(t), "FixedAccount", "ParseAccountID")
}

// An AccountFunc of the program calls an AccountFunc of this package, and
// passes on its error.
func TestMisuse_ShowsThroughAnotherFunction(t *testing.T) {
	find := func(r *http.Request) (tokensource.Account, error) {
		account, err := middleware.FromPath("accountID")(r)
		if err != nil {
			return account, errors.Join(errors.New("own error"), err)
		}
		return account, nil
	}
	wantMisuse(t, find, inbound(t), `FromPath("accountID")`)
}

// wantPermanent checks whether an error is permanent.
func wantPermanent(t *testing.T, err error, want bool) {
	t.Helper()
	check(t, "permanent: "+err.Error(), tokensource.IsPermanent(err), want)
}

// A layer that retries needs to know whether a retry can succeed.
func TestErrors_SayWhetherTheyArePermanent(t *testing.T) {
	for err, want := range map[error]bool{
		middleware.ErrUnauthenticated:     true,
		middleware.ErrForbidden:           true,
		middleware.ErrInvalidTarget:       true,
		middleware.ErrMethodNotProxied:    true,
		middleware.ErrTooEarly:            false,
		middleware.ErrVerifierUnavailable: false,
		middleware.ErrTokenRefused:        false,
	} {
		wantPermanent(t, err, want)
	}
	wantPermanent(t, middleware.UnreadableBody(&http.MaxBytesError{}), true)
	wantPermanent(t, middleware.UnreadableBody(context.DeadlineExceeded), false)
	wantPermanent(t, middleware.UnreadableBody(errors.New("broken off")), false)
}

// A framework's handler may already have read the body. The platform must not
// get a partial body. The log must not name the platform as the cause.
func TestMisuse_BodyReadBefore(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	for name, length := range map[string]int{"all": 7, "a part": 3} {
		logger, logged := newLogger()
		proxy := p.proxy(t, func(c *middleware.ProxyConfig) { c.Logger = logger })
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadFull(r.Body, make([]byte, length))
			proxy.ServeHTTP(w, r)
		}))
		wantProblem(t, s.post(t, "/v1/payments", "payment"), http.StatusInternalServerError, "misconfigured")
		check(t, name+": the log names the body", strings.Contains(logged.String(), "body"), true)
	}
	check(t, "deliveries", len(p.Deliveries()), 0)
}
