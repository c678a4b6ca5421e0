// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A request without an account must not act for the organization.
func TestAccountFunc_ErrorIsForbidden(t *testing.T) {
	someone := acct(t, alice)
	for name, account := range map[string]middleware.AccountFunc{
		"none": func(*http.Request) (tokensource.Account, error) { return tokensource.Account{}, nil },
		"forbidden": func(*http.Request) (tokensource.Account, error) {
			return tokensource.Account{}, middleware.ErrForbidden
		},
		"forbidden, wrapped":       denyingAccount(errors.Join(errors.New("because"), middleware.ErrForbidden)),
		"a denial of the program":  denyingAccount(middleware.AuthError("blocked")),
		"an error of the program":  denyingAccount(errors.New("database down")),
		"an account and an error":  func(*http.Request) (tokensource.Account, error) { return someone, errors.New("no") },
		"organization, but denied": func(*http.Request) (tokensource.Account, error) { return tokensource.Organization(), errors.New("no") },
		"a deadline":               denyingAccount(context.DeadlineExceeded),
		"canceled":                 denyingAccount(context.Canceled),
		"a timeout":                denyingAccount(&net.DNSError{IsTimeout: true}),
		"a token's error":          denyingAccount(tokensource.NewError(tokensource.ErrUnavailable, nil)),
		"a transport's error":      denyingAccount(transport.ErrNoAccount),
		"a faulty id":              func(*http.Request) (tokensource.Account, error) { return tokensource.ParseAccountID("007") },
		"token refused":            denyingAccount(middleware.ErrTokenRefused),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{})
			next := func(http.ResponseWriter, *http.Request) { t.Error("the request was passed on") }
			wrapped := p.wrap(t, next, func(c *middleware.Config) { c.Account = account })
			proxied := p.proxy(t, func(c *middleware.ProxyConfig) { c.Account = account })
			for _, handler := range []http.Handler{wrapped, proxied} {
				r := call(handler, inbound(t))
				wantProblem(t, r, http.StatusForbidden, "account-forbidden")
				check(t, "WWW-Authenticate", r.header.Get("WWW-Authenticate"), "")
				check(t, "Retry-After", r.header.Get("Retry-After"), "")
			}
			check(t, "token requests", p.Counts().TokenRequests, 0)
		})
	}
}

func denyingAccount(err error) middleware.AccountFunc {
	return func(*http.Request) (tokensource.Account, error) { return tokensource.Account{}, err }
}

func TestFixed_OrganizationMayAct(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Account = middleware.FixedAccount(tokensource.Organization()) }))
	check(t, "status", s.get(t, "/v1/organization").status, http.StatusOK)
}

func TestUnauthenticated_GetsBearerChallenge(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	next := func(http.ResponseWriter, *http.Request) { t.Error("the request was passed on") }
	for _, err := range []error{
		middleware.ErrUnauthenticated,
		errors.Join(errors.New("expired"), middleware.ErrUnauthenticated),
		errors.Join(middleware.ErrForbidden, middleware.ErrUnauthenticated),
	} {
		handler := p.wrap(t, next, func(c *middleware.Config) { c.Account = denyingAccount(err) })
		r := call(handler, inbound(t))
		wantProblem(t, r, http.StatusUnauthorized, "unauthenticated")
		check(t, "WWW-Authenticate", r.header.Get("WWW-Authenticate"), "Bearer")
	}
	check(t, "token requests", p.Counts().TokenRequests, 0)
}

func TestAuthError_HasTypeAndText(t *testing.T) {
	for denial, want := range map[middleware.AuthError]string{
		middleware.ErrUnauthenticated:     "unauthenticated",
		middleware.ErrForbidden:           "account_forbidden",
		middleware.ErrMethodNotProxied:    "method_not_proxied",
		middleware.ErrTooEarly:            "too_early",
		middleware.ErrInvalidTarget:       "invalid_target",
		middleware.ErrVerifierUnavailable: "verifier_unavailable",
	} {
		check(t, "type", denial.ErrorType(), want)
		check(t, "a sentence", strings.HasPrefix(denial.Error(), "pismoauth: ") && !strings.Contains(denial.Error(), want), true)
	}
}

func TestErrorHandler_GetsTypedError(t *testing.T) {
	type reason struct{ error }
	for name, test := range map[string]struct {
		account middleware.AccountFunc
		issuer  tokensource.Issuer
		is      func(error) bool
	}{
		"of the account": {
			denyingAccount(reason{errors.New("no")}), grantingIssuer("token"),
			func(err error) bool {
				var mine reason
				return errors.As(err, &mine) && errors.Is(err, middleware.ErrForbidden)
			},
		},
		"unauthenticated": {
			denyingAccount(middleware.ErrUnauthenticated), grantingIssuer("token"),
			func(err error) bool { return err == middleware.ErrUnauthenticated },
		},
		"of the token": {
			middleware.FixedAccount(acct(t, alice)), failingIssuer(tokensource.NewError(tokensource.ErrRateLimited, reason{errors.New("429")})),
			func(err error) bool {
				var mine reason
				var token *tokensource.Error
				return errors.As(err, &token) && token.Kind == tokensource.ErrRateLimited && errors.As(err, &mine)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got error
			m := newMiddleware(t, middleware.Config{
				Source:  newSource(t, tokensource.Config{Issuer: test.issuer}),
				Account: test.account,
				ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
					got = err
					w.WriteHeader(http.StatusTeapot)
				},
			})
			r := call(m.Wrap(http.NotFoundHandler()), inbound(t))
			check(t, "status", r.status, http.StatusTeapot)
			check(t, "body", r.body, "")
			if !test.is(got) {
				t.Errorf("got %v (%T), want another error", got, got)
			}
			_, _, err := m.Admit(inbound(t))
			if !test.is(err) {
				t.Errorf("Admit: got %v (%T), want another error", err, err)
			}
		})
	}
}
