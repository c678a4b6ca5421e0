// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// An operation without a span above has no span: nobody asks what it was for.
func TestFleetHooks_SpanOnlyBeneathAnother(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	tel := newTelemetry(t, telemetry.WithTracerProvider(provider), telemetry.WithMeterProvider(sdkmetric.NewMeterProvider()))
	hooks := tel.FleetHooks()
	operate := func(ctx context.Context) {
		_, done := hooks.Operation(ctx, fleet.OpClaim)
		done(fleet.OperationResult{Outcome: fleet.OutcomeFound})
	}
	operate(t.Context())
	if n := len(spans.Started()); n != 0 {
		t.Errorf("without a parent there are %d spans, want none", n)
	}
	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	operate(ctx)
	parent.End()
	if n := len(spans.Ended()); n != 2 || spans.Ended()[0].Name() != "pismo.store.claim" {
		t.Errorf("with a parent there are %d spans, want 2", n)
	}
}

func TestObserveFleet_NeedsBoth(t *testing.T) {
	if _, err := newTelemetry(t).ObserveFleet(nil); err == nil {
		t.Error("no issuer is observed")
	}
	if _, err := new(telemetry.Telemetry).ObserveFleet(new(fleet.Issuer)); err == nil {
		t.Error("a zero Telemetry observes")
	}
	if hooks := new(telemetry.Telemetry).FleetHooks(); hooks.Operation != nil || hooks.Poisoned != nil {
		t.Error("a zero Telemetry has hooks")
	}
}
