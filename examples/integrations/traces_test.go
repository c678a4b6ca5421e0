// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// newSpans returns a recorder of spans, and the option for otelhttp.
func newSpans(t *testing.T) (*tracetest.SpanRecorder, otelhttp.Option) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) })
	return spans, otelhttp.WithTracerProvider(provider)
}

// otelhttp outside the transport shows a request as its caller sees it.
// otelhttp below shows each attempt.
func TestOtelhttp_ShowsEachSendingBeneath(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	outside, outsideProvider := newSpans(t)
	below, beneathProvider := newSpans(t)
	source, hosts := newSource(t, pismo), []string{pismo.Host()}

	// recipe: otelhttp
	base := otelhttp.NewTransport(telemetry.AnnotateSpans(transport.NewBase()), beneathProvider)
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: hosts, Base: base})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: otelhttp.NewTransport(authenticated, outsideProvider), Timeout: 30 * time.Second}
	// end
	t.Cleanup(authenticated.CloseIdleConnections)
	_ = tokenOf(t, authenticated)
	pismo.Revoke(alice)
	resp := must(client.Do(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusCreated)
	check(t, "spans outside", len(outside.Ended()), 1)
	check(t, "spans below", len(below.Ended()), 2)
	for name, spans := range map[string]*tracetest.SpanRecorder{"outside": outside, "below": below} {
		shown := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(spans.Ended()))
		check(t, name+": the spans have the token", strings.Contains(shown, tokenOf(t, authenticated)), false)
	}
}

// The verdict and the proof that nothing was sent survive otelhttp outside the
// transport, below it, and in both places.
func TestOtelhttp_HidesNothingFromTransport(t *testing.T) {
	for name, test := range map[string]struct {
		outside, below func(http.RoundTripper) http.RoundTripper
	}{
		"outside":           {wrapOtelhttp, unwrapped},
		"below":             {unwrapped, wrapOtelhttp},
		"outside and below": {wrapOtelhttp, wrapOtelhttp},
		"twice outside":     {func(next http.RoundTripper) http.RoundTripper { return wrapOtelhttp(wrapOtelhttp(next)) }, unwrapped},
	} {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
		client := &http.Client{Transport: test.outside(newTransport(t, pismo, over(test.below(transport.NewBase())))), Timeout: time.Minute}
		resp := must(client.Do(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t)
		verdict, _ := transport.VerdictOf(resp)
		check(t, name+": verdict", verdict, transport.RequestRefused)
		_ = read(t, resp)
		client.CloseIdleConnections()

		dialled := 0
		base := transport.NewBase()
		base.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dialled++
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		client = &http.Client{Transport: test.outside(newTransport(t, pismo, over(test.below(base)))), Timeout: time.Minute}
		_, err := client.Do(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment"))
		check(t, name+": refused", errors.Is(err, syscall.ECONNREFUSED), true)
		check(t, name+": dialled", dialled, 3)
	}
}

func wrapOtelhttp(next http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(next) }

func unwrapped(next http.RoundTripper) http.RoundTripper { return next }

// A stream is sent once, even if otelhttp below the transport changes its body.
func TestOtelhttp_SendsStreamOnce(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated := newTransport(t, pismo, over(wrapOtelhttp(transport.NewBase())))
	client := &http.Client{Transport: wrapOtelhttp(authenticated)}
	_ = tokenOf(t, authenticated)
	pismo.Revoke(alice)
	req := newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")
	req.GetBody, req.ContentLength = nil, -1
	resp := must(client.Do(req))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusUnauthorized)
	verdict, _ := transport.VerdictOf(resp)
	check(t, "verdict", verdict, transport.TokenRefused)
	check(t, "sent", pismo.Counts().ResourceRequests, 1)
}
