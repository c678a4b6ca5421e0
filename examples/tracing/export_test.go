// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// An otlpReceiver receives the requests of OTLP exporters.
type otlpReceiver struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	raw     bytes.Buffer // all bodies, decompressed
	spans   []*otlp.Span // of all scopes
	scopes  map[string]bool
	metrics map[string]bool
}

func newOTLPReceiver(t *testing.T) *otlpReceiver {
	s := &otlpReceiver{t: t, scopes: map[string]bool{}, metrics: map[string]bool{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *otlpReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := content(r)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(body)
	switch r.URL.Path {
	case "/v1/traces":
		s.takeTraces(body)
	case "/v1/metrics":
		s.takeMetrics(body)
	default:
		s.t.Errorf("an unexpected request for %s", r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func content(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	unzip, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unzip)
}

func (s *otlpReceiver) takeTraces(body []byte) {
	var request traces.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		s.t.Error(err)
	}
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			s.scopes[scope.GetScope().GetName()] = true
			s.spans = append(s.spans, scope.GetSpans()...)
		}
	}
}

func (s *otlpReceiver) takeMetrics(body []byte) {
	var request metrics.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		s.t.Error(err)
	}
	for _, resource := range request.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				s.metrics[m.GetName()] = true
			}
		}
	}
}

// The backend gets spans and metrics, and no secret.
func TestExport_ReachesBackend(t *testing.T) {
	sink := newOTLPReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
	for _, compression := range []string{"none", "gzip"} {
		t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
		secrets := runAndListSecrets(t)
		sink.wantNone(secrets)
	}
	if !sink.scopes[telemetry.ScopeName] || len(sink.scopes) != 2 {
		t.Errorf("spans came from %v, want %s and otelhttp's", slices.Collect(maps.Keys(sink.scopes)), telemetry.ScopeName)
	}
	for _, name := range []string{"pismo.token.issue.duration", "pismo.token.acquisitions", "pismo.token.cached", "http.client.request.duration"} {
		if !sink.metrics[name] {
			t.Errorf("the metric %s did not arrive", name)
		}
	}
	byID := map[string]*otlp.Span{}
	for _, span := range sink.spans {
		byID[string(span.GetSpanId())] = span
	}
	links, resent := 0, 0
	for _, span := range sink.spans {
		for _, link := range span.GetLinks() {
			links++
			if to := byID[string(link.GetSpanId())]; to.GetName() != "pismo.token.issue" || bytes.Equal(to.GetTraceId(), span.GetTraceId()) {
				t.Errorf("%s links to %q, want an issuance of another trace", span.GetName(), to.GetName())
			}
		}
		for _, a := range span.GetAttributes() {
			if a.GetKey() == "http.request.resend_count" {
				resent++
			}
		}
	}
	if links != 2*(stampedeSize-1) || resent != 2 {
		t.Errorf("%d links and %d requests sent again, want %d and 2", links, resent, 2*(stampedeSize-1))
	}
}

// runAndListSecrets runs all scenarios with the exporters, and returns the
// texts that must not be exported.
func runAndListSecrets(t *testing.T) map[string]string {
	t.Helper()
	p, err := newProgram(t.Context(), passporttest.Config{TokenLatency: latency})
	if err != nil {
		t.Fatal(err)
	}
	secrets := p.secrets(t)
	for _, s := range scenarios {
		if err := s.run(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
	if err := p.close(t.Context()); err != nil {
		t.Error(err)
	}
	return secrets
}

// wantNone checks that the receiver got none of the secrets.
func (s *otlpReceiver) wantNone(secrets map[string]string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, secret := range secrets {
		if at := bytes.Index(s.raw.Bytes(), []byte(secret)); at >= 0 {
			s.t.Errorf("%s is exported: %q", what, s.raw.Bytes()[max(0, at-100):at+len(secret)])
		}
	}
}

// secrets returns the texts that must not be exported. They are long enough not
// to occur in random ids by chance.
func (p *program) secrets(t *testing.T) map[string]string {
	t.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: p.fake.Issuer()}) // This Source has no telemetry.
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token(t.Context(), tokensource.Organization())
	if err != nil {
		t.Fatal(err)
	}
	tenant, _ := token.Claims()["tenant"].(string)
	all := map[string]string{
		"the account":         account,
		"the server's key":    p.fake.ServerKey(),
		"the server's secret": p.fake.ServerSecret(),
		"a body":              `"amount"`,
		"the tenant":          tenant,
		"the query":           query,
		"a token":             token.Reveal()[:16], // All tokens have this header.
		"an Authorization":    "Bearer",
	}
	for what, secret := range all {
		if len(secret) < 6 {
			t.Errorf("%s is %q, want 6 letters or more", what, secret)
		}
	}
	return all
}

func TestRun_ReportsBackendFailure(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(down.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", down.URL)
	var out strings.Builder
	if err := run(t.Context(), &out); err == nil || !strings.Contains(out.String(), "A revocation") {
		t.Errorf("got error %v after %s, want an error after the traces", err, out.String())
	}
}
