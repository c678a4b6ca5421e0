// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// acquisitions returns how many requests got a token and how many failed.
func (s *fixture) acquisitions() (got, failed int64) {
	for _, m := range s.collect() {
		if m.Name != "pismo.token.acquisitions" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if p.Attributes.HasValue("error.type") {
				failed += p.Value
			} else {
				got += p.Value
			}
		}
	}
	return got, failed
}

func (s *fixture) wantAcquisitions(wantGot, wantFailed int64) {
	s.Helper()
	if got, failed := s.acquisitions(); got != wantGot || failed != wantFailed {
		s.Errorf("%d requests got a token and %d failed, want %d and %d", got, failed, wantGot, wantFailed)
	}
}

// transport returns the Transport of the fixture.
func (s *fixture) transport() *transport.Transport { return s.client.Transport.(*transport.Transport) }

// A middleware and a transport both call Token for one request. A success must
// not count twice while a failure counts once: a failure rate of a half would
// look like a third.
func TestAcquisitions_CountAProxyRequestOnce(t *testing.T) {
	fixed := middleware.FixedAccount(alice(t))
	for name, handler := range map[string]func(*fixture) http.Handler{
		"NewProxy": func(s *fixture) http.Handler {
			target, err := url.Parse(s.pismo.URL())
			if err != nil {
				s.Fatal(err)
			}
			proxy, err := middleware.NewProxy(middleware.ProxyConfig{Target: target, Transport: s.transport(), Account: fixed})
			if err != nil {
				s.Fatal(err)
			}
			return proxy
		},
		"Wrap": func(s *fixture) http.Handler {
			m, err := middleware.New(middleware.Config{Source: s.source, Account: fixed})
			if err != nil {
				s.Fatal(err)
			}
			return m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				for range 3 { // The handler may send several requests.
					s.want(s.send(r.Context(), "outbound", http.MethodGet, "/v1/accounts/"+aliceID, nil), http.StatusOK)
				}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			pismo := passporttest.NewServer(t, passporttest.Config{})
			base := transport.NewBase()
			defer base.CloseIdleConnections()
			s := newFixture(t, pismo, base)
			h := handler(s)
			request := func() int {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/accounts/"+aliceID, nil))
				return w.Code
			}
			for range 10 {
				s.want(request(), http.StatusOK)
			}
			s.wantAcquisitions(10, 0)
			pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
			s.source.InvalidateAll()
			for range 10 {
				if code := request(); code < http.StatusInternalServerError {
					t.Errorf("got status %d, want 5xx", code)
				}
			}
			s.wantAcquisitions(10, 10)
		})
	}
}

func TestAcquisitions_CountRetriesOnce(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	base := transport.NewBase()
	defer base.CloseIdleConnections()
	s := newFixture(t, pismo, base)
	pismo.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable}, passporttest.Refusal{Status: http.StatusServiceUnavailable})
	s.want(s.read("request"), http.StatusOK)
	s.wantAcquisitions(1, 0)
	pismo.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable}, passporttest.Refusal{}) // The 401 is replayed.
	s.want(s.read("request"), http.StatusOK)
	s.wantAcquisitions(2, 0)
}

// Several attempts of a load balancer are one request.
func TestAcquisitions_CountARetryGroupOnce(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	base := transport.NewBase()
	defer base.CloseIdleConnections()
	s := newFixture(t, pismo, base)
	for range 2 {
		ctx := transport.ContextWithRetryGroup(t.Context(), new(transport.RetryGroup))
		for range 3 {
			s.want(s.send(ctx, "attempt", http.MethodGet, "/v1/accounts/"+aliceID, nil), http.StatusOK)
		}
	}
	s.wantAcquisitions(2, 0)
}

// A failure counts although the request got a token before.
func TestAcquisitions_CountALateFailure(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	base := transport.NewBase()
	defer base.CloseIdleConnections()
	s := newFixture(t, pismo, base)
	token, err := s.source.Token(t.Context(), alice(t))
	if err != nil {
		t.Fatal(err)
	}
	pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
	s.source.InvalidateAll()
	s.want(s.send(tokensource.ContextWithForwardedToken(t.Context(), token), "request", http.MethodGet, "/", nil), 0)
	s.wantAcquisitions(1, 1)
}

// A token of another account or of another Source does not make a call a
// repeated call.
func TestAcquisitions_CountOtherTokens(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	s := newFixture(t, pismo, http.DefaultTransport)
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	another := newSource(t, pismo, tokensource.Hooks{})
	tokens := map[string]*tokensource.Token{"none": nil}
	for name, source := range map[string]*tokensource.Source{"of this Source": s.source, "of another Source": another} {
		for kind, acct := range map[string]tokensource.Account{"alice's ": alice(t), "bob's ": account(t, bobID)} {
			token, err := source.Token(t.Context(), acct)
			if err != nil {
				t.Fatal(err)
			}
			tokens[kind+name] = token
		}
	}
	for name, token := range tokens {
		before, _ := s.acquisitions()
		if _, err := s.source.Token(tokensource.ContextWithForwardedToken(t.Context(), token), alice(t)); err != nil {
			t.Fatal(err)
		}
		after, _ := s.acquisitions()
		if counted := after > before; counted == (name == "alice's of this Source") {
			t.Errorf("with the token %s: counted is %v, want %v", name, counted, !counted)
		}
	}
}
