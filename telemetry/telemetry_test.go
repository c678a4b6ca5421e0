// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"runtime/debug"
	"testing"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
)

// newRecorder returns a provider, and the recorder of its spans.
func newRecorder() (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), spans
}

// issueToken calls the hooks of an issuance that a caller with ctx started.
func issueToken(ctx context.Context, hooks tokensource.Hooks, reason tokensource.IssueReason) context.Context {
	issue, done := hooks.Issue(context.Background(), ctx, tokensource.IssueInfo{Account: tokensource.Organization(), Issuance: 1, Reason: reason})
	done(tokensource.IssueResult{Serial: 1, Attempts: 1})
	return issue
}

func TestNew_UsesTheCurrentProvider(t *testing.T) {
	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	chosen, fromChosen := newRecorder()
	callers, fromCallers := newRecorder()
	global, fromGlobal := newRecorder()
	found := newTelemetry(t).SourceHooks()
	fixed := newTelemetry(t, telemetry.WithTracerProvider(chosen)).SourceHooks()
	otel.SetTracerProvider(global) // New must not keep an earlier provider.

	inSpan, span := callers.Tracer("").Start(context.Background(), "request")
	defer span.End()
	remote := trace.ContextWithRemoteSpanContext(context.Background(), span.SpanContext())
	for _, test := range []struct {
		name   string
		hooks  tokensource.Hooks
		ctx    context.Context
		spans  *tracetest.SpanRecorder
		parent trace.SpanID
	}{
		{"chosen", fixed, inSpan, fromChosen, span.SpanContext().SpanID()},
		{"of the span in the context", found, inSpan, fromCallers, span.SpanContext().SpanID()},
		{"global, without a span", found, context.Background(), fromGlobal, trace.SpanID{}},
		{"global, with a remote span", found, remote, fromGlobal, span.SpanContext().SpanID()},
	} {
		n := len(test.spans.Ended())
		issueToken(test.ctx, test.hooks, tokensource.ReasonCold)
		ended := test.spans.Ended()
		if len(ended) != n+1 || ended[n].Parent().SpanID() != test.parent {
			t.Errorf("%s: %d spans, want %d, of the parent %s", test.name, len(ended), n+1, test.parent)
		}
	}
}

func TestNew_ScopeHasTheModulesVersion(t *testing.T) {
	provider, spans := newRecorder()
	reader := sdkmetric.NewManualReader()
	tel := newTelemetry(t, telemetry.WithVersion("v1.2.3"), telemetry.WithTracerProvider(provider),
		telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	issueToken(t.Context(), tel.SourceHooks(), tokensource.ReasonCold)
	if scope := spans.Ended()[0].InstrumentationScope(); scope.Version != "v1.2.3" {
		t.Errorf("spans are of the scope %+v", scope)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	if scope := all.ScopeMetrics[0].Scope; scope.Version != "v1.2.3" {
		t.Errorf("metrics are of the scope %+v", scope)
	}
	const module = "github.com/pismoauth/pismoauth"
	for _, test := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"nothing is known", nil, ""},
		{"another program", &debug.BuildInfo{Main: debug.Module{Path: "a.example", Version: "v9"}, Deps: []*debug.Module{{Path: module, Version: "v1.2.3"}}}, "v1.2.3"},
		{"a program of this module", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "v1.2.3"}}, "v1.2.3"},
		{"a checkout", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, ""},
	} {
		if got := telemetry.Version(test.info, test.info != nil); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
