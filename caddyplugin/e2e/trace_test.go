// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A spanReceiver receives the spans that the server exports.
type spanReceiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*tracepb.Span
	text  strings.Builder // all received requests, as text
}

func newSpanReceiver(tb testing.TB) *spanReceiver {
	s := new(spanReceiver)
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// env returns the environment with which the server exports to the receiver
// without delay.
func (s *spanReceiver) env() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_METRICS_EXPORTER=none"}
}

func (s *spanReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// named returns the received spans with a name.
func (s *spanReceiver) named(name string) []*tracepb.Span {
	return s.having(func(span *tracepb.Span) bool { return span.GetName() == name })
}

// identified returns the spans with an id. There is at most one.
func (s *spanReceiver) identified(id string) []*tracepb.Span {
	return s.having(func(span *tracepb.Span) bool { return hex.EncodeToString(span.GetSpanId()) == id })
}

func (s *spanReceiver) having(property func(*tracepb.Span) bool) (found []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		if property(span) {
			found = append(found, span)
		}
	}
	return found
}

func (s *spanReceiver) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// exported returns the spans that were exported.
func (s *spanReceiver) exported() (all []exportedSpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		t := exportedSpan{
			id: hex.EncodeToString(span.GetSpanId()), parent: hex.EncodeToString(span.GetParentSpanId()),
			name: span.GetName(), start: span.GetStartTimeUnixNano(), attributes: map[string]string{},
		}
		for _, a := range span.GetAttributes() {
			t.attributes[a.GetKey()] = cmp.Or(a.GetValue().GetStringValue(), strconv.FormatInt(a.GetValue().GetIntValue(), 10))
		}
		all = append(all, t)
	}
	return all
}

// The platform and its token endpoint get the span of the attempt that reaches
// them.
func TestTracing_SpansFromClientToPlatform(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	told := &traceParents{sendings: map[string][]string{}}
	front := httptest.NewServer(told.recordingProxy(p.URL()))
	t.Cleanup(front.Close)
	spans := newSpanReceiver(t)
	runTraced(t, p, front.URL, spans.env())
	await(t, "the spans are exported", func() bool { return len(spans.named("inbound")) == 2 && len(spans.named("pismo.token.renew")) == 1 })
	check(t, "trace", drawTree(spans.exported(), inboundSpan, ""), wantTrace)

	told.mu.Lock()
	defer told.mu.Unlock()
	seen := map[string]bool{}
	for name, all := range told.sendings {
		for _, parent := range all {
			fields := strings.Split(parent, "-")
			if len(fields) != 4 || fields[1] != inboundTrace || seen[parent] {
				t.Fatalf("a request got the parent %q, want its own span in the client's trace", parent)
			}
			if known := spans.identified(fields[2]); len(known) != 1 || known[0].GetName() != name {
				t.Errorf("a request got the parent %q, want one of the spans %q", parent, name)
			}
			seen[parent] = true
		}
	}
	check(t, "requests that were told a parent", len(seen), 5)
}

// traceParents are the parents in the requests' header, by the name that
// otelhttp gives the requests' spans.
type traceParents struct {
	mu       sync.Mutex
	sendings map[string][]string
}

// recordingProxy returns a proxy to a platform. It records the parents.
func (p *traceParents) recordingProxy(platform string) http.Handler {
	target, err := url.Parse(platform)
	if err != nil {
		panic(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		name := "HTTP " + r.Method
		p.sendings[name] = append(p.sendings[name], r.Header.Get("Traceparent"))
		p.mu.Unlock()
		proxy.ServeHTTP(w, r)
	})
}
