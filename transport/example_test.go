// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A complete program. A real program uses the platform instead of the fake
// server, and a [passport.S2S] with an address and credentials instead of the
// fake issuer.
func Example() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()

	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer()})
	if err != nil {
		log.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{
		Source:  source,
		Hosts:   []string{pismo.Host()},
		Account: tokensource.Organization(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer authenticated.CloseIdleConnections()
	client := &http.Client{Transport: authenticated}

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, pismo.URL()+"/v1/organization", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// Without an account in the configuration, the context of each request names an
// account.
func Example_account() {
	pismo, client := start()
	defer stop(pismo, client)

	account, err := tokensource.ParseAccountID("102681871")
	if err != nil {
		log.Fatal(err)
	}
	ctx := tokensource.ContextWithAccount(context.Background(), account)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pismo.URL()+"/v1/accounts/102681871", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)

	// A request without an account gets an error. It does not use the
	// organization's token.
	_, err = client.Do(req.WithContext(context.Background()))
	fmt.Println(errors.Unwrap(err))
	// Output:
	// 200 OK
	// pismoauth: request not sent: neither the context nor Config.Account names an account; use tokensource.ContextWithAccount
}

// A search by POST may be executed twice.
func ExampleAllowRetry() {
	unavailable := true
	platform := roundTripper(func(req *http.Request) (*http.Response, error) {
		defer func() { unavailable = false }()
		_, _ = io.Copy(io.Discard, req.Body)
		if unavailable {
			return respond(http.StatusServiceUnavailable, ""), nil
		}
		return respond(http.StatusOK, ""), nil
	})
	client := newClient(platform, nil)

	ctx := transport.AllowRetry(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://sandbox.pismolabs.io/v1/search", strings.NewReader("{}"))
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.StatusCode)
	// Output: 200
}

// An endpoint answers 401 with an undocumented code whose meaning the program
// knows.
func ExampleConfig_classify() {
	platform := roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(http.StatusUnauthorized, `{"code":"EXYZ0001","message":"Outside of business hours"}`), nil
	})
	client := newClient(platform, func(r *transport.Refusal) transport.Verdict {
		if r.Complete && strings.Contains(string(r.Body), `"EXYZ0001"`) {
			return transport.RequestRefused
		}
		return r.Verdict
	})

	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://sandbox.pismolabs.io/v1/something", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	verdict, _ := transport.VerdictOf(resp)
	fmt.Println(resp.StatusCode, verdict)
	// Output: 401 request_refused
}

// The base sends the requests. It has the client certificate. Layers that must
// see every request that is sent, such as OpenTelemetry's otelhttp, wrap the
// base:
//
//	Base: otelhttp.NewTransport(base),
func ExampleConfig_base() {
	certificate, err := passport.NewClientCertificate("client.pem", "client.key")
	if err != nil {
		log.Fatal(err)
	}
	base := transport.NewBase()
	base.TLSClientConfig.GetClientCertificate = certificate.GetClientCertificate
	base.TLSClientConfig.MinVersion = tls.VersionTLS13

	source, err := tokensource.New(tokensource.Config{Issuer: &passport.S2S{
		BaseURL:     "https://sandbox.pismolabs.io",
		Credentials: passport.EnvCredentials("PISMO_SERVER_KEY", "PISMO_SERVER_SECRET"),
		Client:      &http.Client{Transport: base}, // Without a token, unlike the client below.
	}})
	if err != nil {
		log.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{
		Source: source,
		Hosts:  []string{"sandbox.pismolabs.io"},
		Base:   base,
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: authenticated}
	client.CloseIdleConnections() // Use the client.
}

// start starts the fake server. It returns a client without a default account.
func start() (*passporttest.Server, *http.Client) {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer()})
	if err != nil {
		log.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}})
	if err != nil {
		log.Fatal(err)
	}
	return pismo, &http.Client{Transport: authenticated}
}

func stop(pismo *passporttest.Server, client *http.Client) {
	client.CloseIdleConnections()
	pismo.Close()
}

// newClient returns a client of a platform without a network.
func newClient(platform http.RoundTripper, classify func(*transport.Refusal) transport.Verdict) *http.Client {
	source, err := tokensource.New(tokensource.Config{Issuer: &fakeIssuer{}})
	if err != nil {
		log.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{
		Source:   source,
		Hosts:    []string{"sandbox.pismolabs.io"},
		Account:  tokensource.Organization(),
		Base:     platform,
		Classify: classify,
	})
	if err != nil {
		log.Fatal(err)
	}
	return &http.Client{Transport: authenticated}
}
