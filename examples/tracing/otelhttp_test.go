// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// newAuthenticated returns a Transport for the fake server, with a base.
func newAuthenticated(t *testing.T, pismo *passporttest.Server, base http.RoundTripper) *transport.Transport {
	t.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer()})
	if err != nil {
		t.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}, Account: tokensource.Organization(), Base: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(authenticated.CloseIdleConnections)
	return authenticated
}

// otelhttp around the Transport replaces the body of a 401. The Timeout of an
// http.Client around otelhttp replaces it again.
func TestVerdictOf_SurvivesOtelhttp(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{
		Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"EUPI0120","message":"m"}`))
		}),
	})
	client := &http.Client{Transport: otelhttp.NewTransport(newAuthenticated(t, pismo, otelhttp.NewTransport(transport.NewBase()))), Timeout: time.Minute}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pismo.URL()+"/v1/payments", strings.NewReader("payment"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if verdict, ok := transport.VerdictOf(resp); verdict != transport.RequestRefused || !ok {
		t.Errorf("the verdict is %q, want %q", verdict, transport.RequestRefused)
	}
}

// otelhttp around the Transport replaces the body of a request. The Transport
// must still find out that the payment was not sent.
func TestPayment_TriedAgainUnderOtelhttp(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	for name, below := range map[string]func(http.RoundTripper) http.RoundTripper{
		"outside":           func(base http.RoundTripper) http.RoundTripper { return base },
		"outside and below": func(base http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(base) },
	} {
		dialled := 0
		base := transport.NewBase()
		base.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dialled++
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		client := &http.Client{Transport: otelhttp.NewTransport(newAuthenticated(t, pismo, below(base)))}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pismo.URL()+"/v1/payments", strings.NewReader("payment"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || dialled != 3 {
			t.Errorf("%s: dialled %d times with the error %v, want 3 times", name, dialled, err)
		}
	}
}
