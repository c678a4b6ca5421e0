// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// These failures of the token endpoint happen over real connections. The first
// request meets the failure. The second request arrives during the cooldown.
func TestProblem_FollowsEndpointFailure(t *testing.T) {
	html := `<html>SENTINEL</html>`
	for _, test := range []struct {
		fault             passporttest.Fault
		tried, suppressed int
		problem, after    string
	}{
		{passporttest.Status(500), 502, 502, "unavailable", "unavailable"},
		{passporttest.Status(503), 502, 502, "unavailable", "unavailable"},
		{passporttest.Status(401), 502, 502, "account-rejected", "account-rejected"},
		{passporttest.Status(418), 502, 502, "malformed-response", "malformed-response"},
		{passporttest.Body(500, "text/plain", "SENTINEL"), 502, 502, "unavailable", "unavailable"},
		{passporttest.Body(401, "application/json", `{"message":"SENTINEL"}`), 502, 502, "account-rejected", "account-rejected"},
		{passporttest.Body(403, "text/html", html), 502, 502, "unavailable", "unavailable"},
		{passporttest.Body(403, "", ""), 502, 502, "unavailable", "unavailable"},
		{passporttest.Body(200, "application/json", `{"token":"SENTINEL\n"}`), 502, 502, "malformed-response", "malformed-response"},
		{passporttest.HTML(503), 502, 502, "unavailable", "unavailable"},
		{passporttest.RateLimited(0), 503, 503, "rate-limited", "rate-limited"},
		{passporttest.RateLimited(17 * time.Second), 503, 503, "rate-limited", "rate-limited"},
		{passporttest.Redirect307("http://SENTINEL.example/"), 502, 502, "malformed-response", "malformed-response"},
		{passporttest.Reset(), 502, 502, "unavailable", "unavailable"},
		{passporttest.Truncated(), 502, 502, "unavailable", "unavailable"},
		{passporttest.Oversized(0), 502, 502, "malformed-response", "malformed-response"},
		{passporttest.Malformed(passporttest.NotJSON), 502, 502, "malformed-response", "malformed-response"},
		{passporttest.WrongAccount(bob), 502, 502, "account-mismatch", "account-mismatch"},
		{passporttest.WrongAccountInToken(bob), 502, 502, "account-mismatch", "account-mismatch"},
		{passporttest.WrongAccountInAnswer(bob), 502, 502, "account-mismatch", "account-mismatch"},
	} {
		t.Run(fmt.Sprintf("%s/%s", test.fault, test.problem), func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{ServerKey: "SENTINEL-key", ServerSecret: "SENTINEL-secret"})
			p.FailAlways(test.fault)
			s := serve(t, p.proxy(t))
			first := s.post(t, "/v1/payments", "payment")
			asked := p.Counts().TokenRequests
			second := s.post(t, "/v1/payments", "payment")
			check(t, "token requests during the cooldown", p.Counts().TokenRequests, asked)
			wantProblem(t, first, test.tried, test.problem)
			wantProblem(t, second, test.suppressed, test.after)
			for _, r := range []reply{first, second} {
				check(t, "a Retry-After", r.header.Get("Retry-After") != "", true)
				wantNothingOfTheEndpoint(t, r)
			}
			check(t, "requests to the platform", p.Counts().ResourceRequests, 0)
		})
	}
}

// wantNothingOfTheEndpoint checks that an answer contains nothing from the
// token endpoint's answer, and not its address.
func wantNothingOfTheEndpoint(t *testing.T, r reply) {
	t.Helper()
	all := fmt.Sprint(r)
	for _, leak := range []string{"SENTINEL", "127.0.0.1", "passport", alice, bob, "cloudflare"} {
		if strings.Contains(all, leak) {
			t.Errorf("%q is in the answer: %s", leak, all)
		}
	}
	for name := range r.header {
		switch name {
		case "Cache-Control", "Content-Length", "Content-Type", "Date", "Retry-After", "X-Content-Type-Options":
		default:
			t.Errorf("the answer has the field %s", name)
		}
	}
}

func TestProblem_OfHangingEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatformFor(t, passporttest.NewInProcess(t, passporttest.Config{}), tokensource.Config{})
		p.Fail(passporttest.Hang())
		handler := p.wrap(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was passed on") })
		begin := time.Now()
		r := call(handler, inbound(t))
		wantProblem(t, r, http.StatusGatewayTimeout, "timeout")
		check(t, "answered after", time.Since(begin), 10*time.Second)
		r = call(handler, inbound(t))
		wantProblem(t, r, http.StatusServiceUnavailable, "timed-out-before")
		check(t, "answered after", time.Since(begin), 10*time.Second)
		check(t, "a Retry-After", r.header.Get("Retry-After") != "", true)
	})
}

func TestProblem_OfOverloadedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := issuerFunc(func(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
			<-ctx.Done()
			return tokensource.Grant{}, ctx.Err()
		})
		m := newMiddleware(t, middleware.Config{
			Source:  newSource(t, tokensource.Config{Issuer: hanging, MaxIssuances: 1}),
			Account: fromHeader(t, "X-Account", digits),
		})
		handler := m.Wrap(http.NotFoundHandler())
		var atOnce atomic.Int32
		begin := time.Now()
		concurrently(100, func(i int) {
			r := call(handler, inbound(t, "X-Account", strconv.Itoa(i+1)))
			if time.Since(begin) > 0 {
				return // These requests waited for a slot until their deadline.
			}
			atOnce.Add(1)
			wantProblem(t, r, http.StatusServiceUnavailable, "overloaded")
			check(t, "Retry-After", r.header.Get("Retry-After"), "1")
		})
		check(t, "requests beyond the queue's limit", atOnce.Load() >= 35, true)
	})
}

func TestProblem_OfPanickingIssuer(t *testing.T) {
	panicking := issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) { panic("SENTINEL") })
	m := newMiddleware(t, middleware.Config{
		Source:  newSource(t, tokensource.Config{Issuer: panicking}),
		Account: middleware.FixedAccount(acct(t, alice)),
	})
	for range 2 {
		r := call(m.Wrap(http.NotFoundHandler()), inbound(t))
		wantProblem(t, r, http.StatusInternalServerError, "internal")
		wantNothingOfTheEndpoint(t, r)
	}
}
