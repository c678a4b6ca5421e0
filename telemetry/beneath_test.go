package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
)

func TestTheQueryIsTakenOutOfTheURLOfASpan(t *testing.T) {
	provider, spans := recorded()
	client := httpSpans{provider.Tracer(""), telemetry.Beneath(roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.URL.RawQuery != sentinelQuery {
			t.Errorf("the request goes out with the query %q", req.URL.RawQuery)
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))}
	for _, url := range []string{"https://a.example/v1/x?" + sentinelQuery, "https://user:" + sentinelQuery + "@a.example/v1/x?" + sentinelQuery} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		resp, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		ended := spans.Ended()
		for _, a := range ended[len(ended)-1].Attributes() {
			if a.Key == "url.full" && a.Value.AsString() != "https://a.example/v1/x" {
				t.Errorf("url.full is %s", a.Value.AsString())
			}
		}
	}
}

func TestInTheWrongPlaceItLeavesTheSpanAlone(t *testing.T) {
	provider, spans := recorded()
	ctx, span := provider.Tracer("").Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
	base := telemetry.Beneath(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	resp, err := base.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "https://a.example/?"+sentinelQuery, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	span.End()
	if attributes := spans.Ended()[0].Attributes(); len(attributes) != 0 {
		t.Errorf("the server's span has got %s", render(attributes))
	}
}

func TestIdleConnectionsAreClosedThroughIt(t *testing.T) {
	closed := 0
	type closer interface{ CloseIdleConnections() }
	telemetry.Beneath(closing{&closed}).(closer).CloseIdleConnections()
	telemetry.Beneath(roundTripper(nil)).(closer).CloseIdleConnections() // It has none.
	telemetry.Beneath(nil).(closer).CloseIdleConnections()
	if closed != 1 {
		t.Errorf("closed %d times, want once", closed)
	}
}

type closing struct{ n *int }

func (closing) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrNotSupported }
func (c closing) CloseIdleConnections()                         { *c.n++ }

func TestNothingIsSpentOnASpanThatRecordsNothing(t *testing.T) {
	base := telemetry.Beneath(roundTripper(func(*http.Request) (*http.Response, error) { return nil, http.ErrNotSupported }))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/?"+strings.Repeat("q", 100), nil)
	if allocs := testing.AllocsPerRun(100, func() { _, _ = base.RoundTrip(req) }); allocs != 0 {
		t.Errorf("a request allocates %v times", allocs)
	}
}
