// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// parent returns the span that the request's headers name.
func parent(h http.Header) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	return trace.SpanContextFromContext(ctx)
}

// Without otelhttp, the token endpoint gets the span of the issuance, and the
// platform the span of the caller.
func TestPropagate_SendsTheTraceContext(t *testing.T) {
	var toPlatform http.Header
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		toPlatform = r.Header
	})})
	provider, spans := newRecorder()
	tel := newTelemetry(t, telemetry.WithTracerProvider(provider))
	var toTokenEndpoint http.Header
	recording := roundTripper(func(req *http.Request) (*http.Response, error) {
		toTokenEndpoint = req.Header
		return http.DefaultTransport.RoundTrip(req)
	})
	source, err := tokensource.New(tokensource.Config{Hooks: tel.SourceHooks(), Issuer: &passport.S2S{
		BaseURL:     pismo.URL(),
		Credentials: passport.StaticCredentials(pismo.ServerKey(), pismo.ServerSecret()),
		Client:      &http.Client{Transport: tel.Propagate(recording)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}, Account: alice(t), Base: tel.Propagate(nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.CloseIdleConnections()
	ctx, span := provider.Tracer("").Start(t.Context(), "request")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pismo.URL()+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	span.End()
	if got := parent(toPlatform).SpanID(); got != span.SpanContext().SpanID() {
		t.Errorf("the platform got the span %s, want %s", got, span.SpanContext().SpanID())
	}
	for _, s := range spans.Ended() {
		if s.Name() == "pismo.token.issue" && parent(toTokenEndpoint).SpanID() != s.SpanContext().SpanID() {
			t.Errorf("the token endpoint got the span %s, want that of the issuance", parent(toTokenEndpoint).SpanID())
		}
	}
	if !parent(toTokenEndpoint).IsValid() {
		t.Error("the token endpoint got no span")
	}
}

func TestPropagate_SendsNoBaggageByDefault(t *testing.T) {
	member, err := baggage.NewMember("customer", aliceID)
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	provider, _ := newRecorder()
	ctx, span := provider.Tracer("").Start(baggage.ContextWithBaggage(t.Context(), bag), "request")
	defer span.End()
	for name, test := range map[string]struct {
		options []telemetry.Option
		want    []string
	}{
		"default": {nil, []string{"Traceparent"}},
		"nil":     {[]telemetry.Option{telemetry.WithPropagators(nil)}, []string{"Traceparent"}},
		"baggage": {[]telemetry.Option{telemetry.WithPropagators(propagation.Baggage{})}, []string{"Baggage"}},
	} {
		t.Run(name, func(t *testing.T) {
			var sent http.Header
			base := newTelemetry(t, test.options...).Propagate(roundTripper(func(out *http.Request) (*http.Response, error) {
				sent = out.Header
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: out}, nil
			}))
			req := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://a.example/", nil)
			req.Header = nil
			resp, err := base.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if req.Header != nil || resp.Request != req {
				t.Error("the caller's request was changed, or the response has another request")
			}
			if got := slices.Sorted(maps.Keys(sent)); !slices.Equal(got, test.want) {
				t.Errorf("sent %v, want %v", got, test.want)
			}
		})
	}
}
