// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

var update = flag.Bool("update", false, "rewrite the golden file and the table in docs/telemetry.md")

// golden has the spans and the metrics of each scenario. A line that begins
// with a number is a span:
//
//	#2 name | kind | parent | links | status | attributes
//
// Every other line is a data point of a metric:
//
//	name | instrument | unit | attributes | value, or number of values
var golden = filepath.Join("testdata", "golden.txt")

func TestTelemetry_MatchesTheGoldenFile(t *testing.T) {
	var got strings.Builder
	for _, sc := range scenarios {
		ok := t.Run(sc.name, func(t *testing.T) {
			runScenario(t, sc, func(s *fixture) {
				metrics := s.renderMetrics()
				if !sc.sendsNothing() {
					metrics = withoutZeros(metrics)
				}
				fmt.Fprintf(&got, "== %s\n%s%s\n", sc.name, s.renderSpans(), metrics)
			})
		})
		if !ok {
			return
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, string(want), got.String())
}

// withoutZeros leaves out the counters at zero. The scenarios without a request
// have all of them.
func withoutZeros(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if !strings.Contains(line, " | counter | ") || !strings.HasSuffix(line, " | 0\n") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// compare shows the lines that differ.
func compare(t *testing.T, want, got string) {
	t.Helper()
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(wanted), len(gotten)) {
		w, g := "", ""
		if i < len(wanted) {
			w = wanted[i]
		}
		if i < len(gotten) {
			g = gotten[i]
		}
		if w != g {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, g, w)
		}
	}
}

// runScenario runs a scenario, and calls look with its fixture.
func runScenario(t *testing.T, sc scenario, look func(*fixture)) {
	if !sc.takesTime {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		base := transport.NewBase()
		defer base.CloseIdleConnections()
		s := newFixture(t, pismo, base)
		sc.run(s)
		look(s)
		return
	}
	synctest.Test(t, func(t *testing.T) {
		pismo := passporttest.NewInProcess(t, passporttest.Config{})
		s := newFixture(t, pismo, pismo.RoundTripper())
		sc.run(s)
		look(s)
	})
}

// tree returns the spans, each after its parent. The children of a parent are
// in the order of their starts. Spans of different traces may start in any
// order.
func (s *fixture) tree() []sdktrace.ReadOnlySpan {
	started := s.spans.Started()
	if len(s.spans.Ended()) != len(started) {
		s.Errorf("%d spans have started, and %d have ended", len(started), len(s.spans.Ended()))
	}
	children := map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	for _, span := range started {
		children[span.Parent().SpanID()] = append(children[span.Parent().SpanID()], span)
	}
	var spans []sdktrace.ReadOnlySpan
	var visit func(trace.SpanID)
	visit = func(parent trace.SpanID) {
		for _, span := range children[parent] {
			spans = append(spans, span)
			visit(span.SpanContext().SpanID())
		}
	}
	visit(trace.SpanID{})
	return spans
}

// renderSpans returns a line for each span.
func (s *fixture) renderSpans() string {
	spans := s.tree()
	number := map[string]int{}
	for i, span := range spans {
		number[span.SpanContext().SpanID().String()] = i + 1
	}
	var b strings.Builder
	for i, span := range spans {
		parent := "root"
		if p := span.Parent(); p.IsValid() {
			parent = fmt.Sprintf("#%d", number[p.SpanID().String()])
			if p.TraceID() != span.SpanContext().TraceID() {
				s.Errorf("span #%d is of another trace than its parent", i+1)
			}
		}
		var links []string
		for _, link := range span.Links() {
			links = append(links, fmt.Sprintf("#%d", number[link.SpanContext.SpanID().String()]))
		}
		if len(span.Events()) != 0 {
			s.Errorf("span #%d has events", i+1)
		}
		fmt.Fprintf(&b, "#%d %s | %s | %s | %s | %s | %s\n", i+1, span.Name(), span.SpanKind(), parent,
			orNone(strings.Join(links, " ")), status(span), render(span.Attributes()))
		s.wantScope(i+1, span)
	}
	return b.String()
}

func (s *fixture) wantScope(number int, span sdktrace.ReadOnlySpan) {
	scope := span.InstrumentationScope()
	ours := strings.HasPrefix(span.Name(), "pismo.")
	if ours != (scope.Name == telemetry.ScopeName) || ours != strings.HasPrefix(scope.SchemaURL, "https://opentelemetry.io/schemas/") {
		s.Errorf("span #%d is of the scope %q, with the schema %q", number, scope.Name, scope.SchemaURL)
	}
}

func status(span sdktrace.ReadOnlySpan) string {
	if span.Status().Code == codes.Unset {
		return "-"
	}
	return fmt.Sprintf("%s %q", span.Status().Code, span.Status().Description)
}

// render returns attributes in the order of their keys. It leaves out values
// that differ in each run.
func render(attributes []attribute.KeyValue) string {
	var all []string
	for _, a := range attributes {
		value := a.Value.String()
		switch a.Key {
		case "url.full":
			continue // An attribute of otelhttp. The leak test checks it.
		case "pismo.correlation_id":
			value = "<x-cid>"
		}
		all = append(all, fmt.Sprintf("%s=%s", a.Key, value))
	}
	slices.Sort(all)
	return orNone(strings.Join(all, ", "))
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// renderMetrics returns a line for each data point.
func (s *fixture) renderMetrics() string {
	var lines []string
	for _, m := range s.collect() {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			instrument := "counter"
			if !data.IsMonotonic {
				instrument = "updowncounter"
			}
			for _, p := range data.DataPoints {
				lines = append(lines, fmt.Sprintf("%s | %s | %s | %s | %d", m.Name, instrument, m.Unit, render(p.Attributes.ToSlice()), p.Value))
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				lines = append(lines, fmt.Sprintf("%s | histogram | %s | %s | %d", m.Name, m.Unit, render(p.Attributes.ToSlice()), p.Count))
			}
		default:
			s.Errorf("%s is a %T", m.Name, data)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// collect returns the current metrics.
func (s *fixture) collect() []metricdata.Metrics {
	var all metricdata.ResourceMetrics
	if err := s.reader.Collect(context.Background(), &all); err != nil {
		s.Fatal(err)
	}
	var found []metricdata.Metrics
	for _, scope := range all.ScopeMetrics {
		if scope.Scope.Name != telemetry.ScopeName || !strings.HasPrefix(scope.Scope.SchemaURL, "https://opentelemetry.io/schemas/") {
			s.Errorf("metrics of the scope %q, with the schema %q", scope.Scope.Name, scope.Scope.SchemaURL)
		}
		found = append(found, scope.Metrics...)
	}
	return found
}
