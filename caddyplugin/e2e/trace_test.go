package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A sink takes the spans that the server exports.
type sink struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*tracepb.Span
	text  strings.Builder // everything that came, as text
}

func newSink(tb testing.TB) *sink {
	s := new(sink)
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// env returns the environment in which the server exports to the sink, at once.
func (s *sink) env() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_METRICS_EXPORTER=none"}
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(request.String())
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			s.spans = append(s.spans, scope.GetSpans()...)
		}
	}
}

// named returns the spans of a name that have come so far.
func (s *sink) named(name string) []*tracepb.Span {
	return s.having(func(span *tracepb.Span) bool { return span.GetName() == name })
}

// identified returns the spans with an id, of which there is one at most.
func (s *sink) identified(id string) []*tracepb.Span {
	return s.having(func(span *tracepb.Span) bool { return hex.EncodeToString(span.GetSpanId()) == id })
}

func (s *sink) having(property func(*tracepb.Span) bool) (found []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		if property(span) {
			found = append(found, span)
		}
	}
	return found
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

const (
	inboundTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	inboundSpan  = "00f067aa0ba902b7"
)

func TestThePlatformSeesTheSpanOfTheServerAsItsParent(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header["Traceparent"]...)
	})})
	spans := newSink(t)
	address := freeAddress(t)
	start(t, setup{
		global: p.client(),
		sites:  site(address, block("tracing", "span inbound"), proxy(p.Host())),
		env:    append(p.env(), spans.env()...),
	})
	to := newClient(t, address, 1)
	to.get(t, "/", "Traceparent", "00-"+inboundTrace+"-"+inboundSpan+"-01")
	p.Revoke(alice)
	to.get(t, "/", "Traceparent", "00-"+inboundTrace+"-"+inboundSpan+"-01")

	until(t, "the spans are exported", func() bool { return len(spans.named("inbound")) == 2 && len(spans.named("pismo.token.issue")) == 2 })
	mu.Lock()
	defer mu.Unlock()
	check(t, "requests that were served", len(seen), 2)
	for _, parent := range seen {
		fields := strings.Split(parent, "-")
		if len(fields) != 4 {
			t.Fatalf("traceparent %q", parent)
		}
		check(t, "trace", fields[1], inboundTrace)
		check(t, "spans of the server with the id that the platform sees", len(spans.identified(fields[2])), 1)
	}
	inbound := spans.named("inbound")[0]
	check(t, "parent of the server's span", hex.EncodeToString(inbound.GetParentSpanId()), inboundSpan)
	issue := spans.named("pismo.token.issue")[0]
	check(t, "trace of the issuance", hex.EncodeToString(issue.GetTraceId()), inboundTrace)
}
