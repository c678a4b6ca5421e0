// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A service that is tested with the fake server does not notice a revocation.
func TestREADME_RevocationGoesUnnoticed(t *testing.T) {
	// recipe: test-your-service
	pismo := passporttest.NewServer(t, passporttest.Config{}) // Point your service at pismo.URL().
	pismo.Revoke("102681871")
	// The service notices nothing: see pismo.Counts().
	// end
	client := &http.Client{Transport: newTransport(t, pismo)}
	for range 2 {
		resp := must(client.Do(newRequest(forAlice(t), t, http.MethodGet, pismo.URL()+"/v1/accounts/"+alice, "")))(t)
		_ = read(t, resp)
		check(t, "status", resp.StatusCode, http.StatusOK)
		pismo.Revoke(alice)
	}
	check(t, "refused", pismo.Counts().TotalRefused(), 1)
}

// verified returns the proxy of docs/production.md.
func verified(publicKey *rsa.PublicKey, pismo *url.URL, authenticated *transport.Transport) (http.Handler, error) {
	// recipe: production
	account, err := middleware.FromJWT(middleware.JWTConfig{ // or FromContext, after your own authentication
		Algorithms: []string{"RS256"},
		Key:        func(*jwt.Token) (any, error) { return publicKey, nil },
		Issuer:     "https://login.example.com",
		Audience:   "bank-app",
		Claim:      "account_id",
	})
	if err != nil {
		return nil, err
	}
	proxy, err := middleware.NewProxy(middleware.ProxyConfig{Target: pismo, Transport: authenticated, Account: account})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", proxy)
	// end
	return mux, nil
}

func TestProduction_ProxyVerifiesJWT(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	handler := must(verified(&key.PublicKey, must(url.Parse(pismo.URL()))(t), newTransport(t, pismo)))(t)
	address := serve(t, handler) + "/v1/accounts/" + alice
	status, _ := get(t, address)
	check(t, "status without a token", status, http.StatusUnauthorized)
	req := newRequest(t.Context(), t, http.MethodGet, address, "")
	req.Header.Set("Authorization", "Bearer "+must(jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "https://login.example.com", "aud": "bank-app", "exp": time.Now().Add(time.Minute).Unix(), "account_id": alice,
	}).SignedString(key))(t))
	resp := must(http.DefaultClient.Do(req))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusOK)
}

// observed returns the clients of docs/telemetry.md.
func observed(base string, hosts []string, credentials passport.Credentials) (authenticated *transport.Transport, unregister func() error, err error) {
	// recipe: telemetry
	tel, err := telemetry.New() // or WithTracerProvider, WithMeterProvider, WithPropagators
	if err != nil {
		return nil, nil, err
	}
	traced := otelhttp.NewTransport(telemetry.AnnotateSpans(transport.NewBase()))
	source, err := tokensource.New(tokensource.Config{
		Issuer: &passport.S2S{BaseURL: base, Credentials: credentials, Client: &http.Client{Transport: traced}},
		Hooks:  tel.SourceHooks(), // once for each Source
	})
	if err != nil {
		return nil, nil, err
	}
	registration, err := tel.ObserveSource(source)
	if err != nil {
		return nil, nil, err
	}
	authenticated, err = transport.New(transport.Config{Source: source, Hosts: hosts, Base: traced, Hooks: tel.TransportHooks()})
	// end
	return authenticated, registration.Unregister, err
}

func TestTelemetry_PageWorks(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated, unregister, err := observed(pismo.URL(), []string{pismo.Host()}, pismo.Issuer().Credentials)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(authenticated.CloseIdleConnections)
	resp := must((&http.Client{Transport: authenticated}).Do(newRequest(forAlice(t), t, http.MethodGet, pismo.URL()+"/v1/accounts/"+alice, "")))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusOK)
	check(t, "unregister", unregister(), nil)
}
