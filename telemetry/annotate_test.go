// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
)

func TestAnnotateSpans_RedactsURLs(t *testing.T) {
	provider, spans := newRecorder()
	var sent string
	client := httpSpans{provider.Tracer(""), telemetry.AnnotateSpans(roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = req.URL.String()
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))}
	for url, want := range map[string]string{
		"https://a.example":                                        "https://a.example",
		"https://a.example/v1/cards/":                              "https://a.example/v1/cards/",
		"https://a.example/v1/x-y_Z?" + sentinelQuery:              "https://a.example/v1/x-y_Z",
		"https://user:" + sentinelQuery + "@a.example:8443/v2/x":   "https://a.example:8443/v2/x",
		"https://a.example/v1/accounts/" + aliceID + "/statements": "https://a.example/v1/accounts/REDACTED/statements",
		"https://a.example/v1/accounts/1":                          "https://a.example/v1/accounts/REDACTED",
		"https://a.example/v1/customers/joe%40a.example":           "https://a.example/v1/customers/REDACTED",
		"https://a.example/v1/customers/a%2Fb/cards":               "https://a.example/v1/customers/REDACTED/cards",
		"https://a.example/passport/v2/s2s/access-token":           "https://a.example/passport/v2/s2s/access-token",
		"https://a.example/v1/cards/ab12":                          "https://a.example/v1/cards/REDACTED",
		"https://a.example/v1/cards/-1":                            "https://a.example/v1/cards/REDACTED",
		"https://a.example/v12/x":                                  "https://a.example/REDACTED/x",
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		resp, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if sent != url {
			t.Errorf("the request for %s was sent to %s", url, sent)
		}
		ended := spans.Ended()
		for _, a := range ended[len(ended)-1].Attributes() {
			if a.Key == "url.full" && a.Value.AsString() != want {
				t.Errorf("url.full is %s, want %s", a.Value.AsString(), want)
			}
		}
	}
}

func TestAnnotateSpans_WrongPlaceChangesNothing(t *testing.T) {
	provider, spans := newRecorder()
	ctx, span := provider.Tracer("").Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
	base := telemetry.AnnotateSpans(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	resp, err := base.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "https://a.example/?"+sentinelQuery, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	span.End()
	if attributes := spans.Ended()[0].Attributes(); len(attributes) != 0 {
		t.Errorf("the server's span has the attributes %s", render(attributes))
	}
}

func TestAnnotateSpans_ClosesIdleConnections(t *testing.T) {
	closed := 0
	type closer interface{ CloseIdleConnections() }
	telemetry.AnnotateSpans(idleCloser{&closed}).(closer).CloseIdleConnections()
	newTelemetry(t).Propagate(idleCloser{&closed}).(closer).CloseIdleConnections()
	telemetry.AnnotateSpans(roundTripper(nil)).(closer).CloseIdleConnections() // The base has no CloseIdleConnections.
	telemetry.AnnotateSpans(nil).(closer).CloseIdleConnections()
	if closed != 2 {
		t.Errorf("idle connections were closed %d times, want 2", closed)
	}
}

type idleCloser struct{ n *int }

func (idleCloser) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrNotSupported }
func (c idleCloser) CloseIdleConnections()                         { *c.n++ }

func TestAnnotateSpans_UnrecordedSpanIsFree(t *testing.T) {
	base := telemetry.AnnotateSpans(roundTripper(func(*http.Request) (*http.Response, error) { return nil, http.ErrNotSupported }))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/?"+strings.Repeat("q", 100), nil)
	if allocs := testing.AllocsPerRun(100, func() { _, _ = base.RoundTrip(req) }); allocs != 0 {
		t.Errorf("a request makes %v allocations, want none", allocs)
	}
}
