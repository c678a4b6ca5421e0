// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

func TestConfig_ReportsEveryFault(t *testing.T) {
	source := newSource(t, tokensource.Config{Issuer: grantingIssuer("token")})
	secure := newTransport(t, transport.Config{Source: source, Hosts: []string{"sandbox.pismolabs.io"}})
	account := middleware.FixedAccount(tokensource.Organization())
	for _, test := range []struct {
		name   string
		make   func() error
		fields []string
	}{
		{"middleware", func() error {
			_, err := middleware.New(middleware.Config{})
			return err
		}, []string{"Config.Source", "Config.Account"}},
		{"proxy", func() error {
			_, err := middleware.NewProxy(middleware.ProxyConfig{})
			return err
		}, []string{"ProxyConfig.Account", "ProxyConfig.Transport", "ProxyConfig.Target"}},
		{"proxy to a host that gets no token", func() error {
			_, err := middleware.NewProxy(middleware.ProxyConfig{Transport: secure, Target: parseURL(t, "https://sandbox.pismolabs.io.example"), Account: account})
			return err
		}, []string{"ProxyConfig.Target"}},
		{"proxy without TLS", func() error {
			_, err := middleware.NewProxy(middleware.ProxyConfig{Transport: secure, Target: parseURL(t, "http://sandbox.pismolabs.io")})
			return err
		}, []string{"ProxyConfig.Account", "ProxyConfig.Target"}},
		{"readiness", func() error {
			_, err := middleware.NewReadiness(middleware.ReadinessConfig{Interval: -1})
			return err
		}, []string{"ReadinessConfig.Source", "ReadinessConfig.Account", "ReadinessConfig.Interval"}},
		{"JWT", func() error {
			_, err := middleware.FromJWT(middleware.JWTConfig{})
			return err
		}, []string{"JWTConfig.Algorithms", "JWTConfig.Key", "JWTConfig.Issuer", "JWTConfig.Audience", "JWTConfig.Claim"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fields := faultyFields(t, test.make())
			if !slices.Equal(fields, test.fields) {
				t.Errorf("got faults in %v, want %v", fields, test.fields)
			}
		})
	}
}

func TestWrap_SetsAccountAndToken(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	handler := p.wrap(t, func(w http.ResponseWriter, r *http.Request) {
		account, ok := tokensource.AccountFromContext(r.Context())
		check(t, "an account in the context", ok, true)
		check(t, "the account", account, acct(t, alice))
		token, ok := tokensource.ForwardedTokenFromContext(r.Context())
		check(t, "a token in the context", ok, true)
		check(t, "the token's account", token.Account(), acct(t, alice))
		check(t, "the token in the header", token.IsIn(r.Header), true)
		w.WriteHeader(http.StatusNoContent)
	})
	check(t, "status", call(handler, inbound(t)).status, http.StatusNoContent)
}

// A handler with the transport acts for its client without further code.
func TestWrap_TransportUsesContextAccount(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	client := &http.Client{Transport: p.transport}
	handler := p.wrap(t, func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.URL()+"/v1/accounts/"+alice, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
	r := serve(t, handler).get(t, "/", "Authorization", "Bearer the client's own")
	check(t, "status", r.status, http.StatusOK)
	check(t, "body", r.body, `{"account_id":`+alice+`,"status":"NORMAL"}`)
	check(t, "requests for the account", p.Counts().Accounts[alice].Accepted, 1)
}

// forward returns a handler that forwards the request with its header.
func forward(t *testing.T, rt http.RoundTripper, to *url.URL, edit func(*http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Scheme, out.URL.Host, out.Host = "", to.Scheme, to.Host, ""
		edit(out)
		resp, err := rt.RoundTrip(out)
		if err != nil {
			middleware.AnswerProblem(w, r, err)
			return
		}
		defer resp.Body.Close()
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			t.Error(err)
		}
	}
}

func TestTransport_ReplacesForwardedToken(t *testing.T) {
	for name, edit := range map[string]func(p *fakePlatform, out *http.Request){
		"unchanged":           func(*fakePlatform, *http.Request) {},
		"revoked in flight":   func(p *fakePlatform, _ *http.Request) { p.RevokeAll() },
		"of a child context":  func(_ *fakePlatform, out *http.Request) { *out = *out.WithContext(childContext(out.Context())) },
		"without its header":  func(_ *fakePlatform, out *http.Request) { out.Header.Del("Authorization") },
		"with an empty field": func(_ *fakePlatform, out *http.Request) { out.Header["Authorization"] = nil },
		"in another form":     func(_ *fakePlatform, out *http.Request) { out.Header["authorization"] = []string{"Bearer forged"} },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{})
			s := serve(t, p.wrap(t, forward(t, p.transport, p.target, func(out *http.Request) { edit(p, out) })))
			check(t, "status", s.get(t, "/v1/accounts/"+alice, "Authorization", "Bearer the client's own").status, http.StatusOK)
		})
	}
}

func childContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, new(int), "anything")
}

func TestTransport_RefusesForgedAuthorization(t *testing.T) {
	for name, edit := range map[string]func(http.Header){
		"another":        func(h http.Header) { h.Set("Authorization", "Bearer forged") },
		"a second value": func(h http.Header) { h.Add("Authorization", "Bearer forged") },
		"another scheme": func(h http.Header) { h.Set("Authorization", "Basic Zm9yZ2Vk") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{})
			s := serve(t, p.wrap(t, forward(t, p.transport, p.target, func(out *http.Request) { edit(out.Header) })))
			wantProblem(t, s.get(t, "/v1/accounts/"+alice), http.StatusInternalServerError, "misconfigured")
			check(t, "requests to the platform", p.Counts().ResourceRequests, 0)
		})
	}
}

// The case of the field's name does not matter.
func TestAdmit_DropsInboundAuthorization(t *testing.T) {
	source := newSource(t, tokensource.Config{Issuer: grantingIssuer("ours")})
	m := newMiddleware(t, middleware.Config{Source: source, Account: middleware.FixedAccount(acct(t, alice))})
	for _, header := range []http.Header{
		{},
		nil,
		{"Authorization": {"Bearer theirs"}},
		{"Authorization": {"Bearer theirs", "Basic dGhlaXJz"}},
		{"Authorization": {}},
		{"authorization": {"Bearer theirs"}, "AUTHORIZATION": {"Bearer theirs"}, "Authorization": {"Bearer theirs"}},
	} {
		r := inbound(t)
		r.Header = header
		out, token, err := m.Admit(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Header) != 0 {
			t.Errorf("%v became %v, want an empty header", header, out.Header)
		}
		check(t, "the token", token.Reveal(), "ours")
		m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, out *http.Request) {
			if want := (http.Header{"Authorization": {"Bearer ours"}}); !reflect.DeepEqual(out.Header, want) {
				t.Errorf("%v became %v, want %v", header, out.Header, want)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestWrap_LeavesInboundUnchanged(t *testing.T) {
	granted := newSource(t, tokensource.Config{Issuer: grantingIssuer("ours")})
	refused := newSource(t, tokensource.Config{Issuer: failingIssuer(tokensource.NewError(tokensource.ErrUnavailable, nil))})
	for name, config := range map[string]middleware.Config{
		"passed on":         {Source: granted, Account: fromHeader(t, "X-Account", regexp.MustCompile(`\d+`))},
		"without a token":   {Source: refused, Account: fromHeader(t, "X-Account", regexp.MustCompile(`\d+`))},
		"without an answer": {Source: granted, Account: fromHeader(t, "X-Account", regexp.MustCompile(`z`))},
	} {
		t.Run(name, func(t *testing.T) {
			make := func() *http.Request {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/a%2Fb?c=d", http.NoBody)
				r.Header = http.Header{"Authorization": {"Bearer theirs"}, "X-Account": {alice}, "X-Values": make([]string, 1, 8)}
				r.Trailer = http.Header{"X-Trailer": nil}
				r.SetPathValue("accountID", bob)
				return r
			}
			r, want := make(), make()
			body, ctx := r.Body, r.Context()
			m := newMiddleware(t, config)
			m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, out *http.Request) {
				out.Header["X-Values"] = append(out.Header["X-Values"], "theirs")
				out.Header.Set("X-More", "more")
			})).ServeHTTP(httptest.NewRecorder(), r)
			if !reflect.DeepEqual(r, want) {
				t.Errorf("the inbound request changed to %+v, want %+v", r, want)
			}
			if values := r.Header["X-Values"]; values[:8][1] != "" {
				t.Error("an append wrote into the inbound header's array")
			}
			check(t, "the same body", r.Body == body, true)
			check(t, "the same context", r.Context() == ctx, true)
		})
	}
}

func TestWrap_AnswersAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := issuerFunc(func(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
			<-ctx.Done()
			return tokensource.Grant{}, ctx.Err()
		})
		m := newMiddleware(t, middleware.Config{
			Source:  newSource(t, tokensource.Config{Issuer: hanging}),
			Account: middleware.FixedAccount(acct(t, alice)),
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		r := call(m.Wrap(http.NotFoundHandler()), inbound(t).WithContext(ctx))
		wantProblem(t, r, http.StatusGatewayTimeout, "timeout")
		check(t, "answered after", time.Since(begin), time.Second)
		time.Sleep(time.Minute) // The issuance ends.
	})
}
