// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"testing"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// providers are the providers that a program can have.
func providers() map[string][]telemetry.Option {
	return map[string][]telemetry.Option{
		"nothing set": nil,
		"noop": {
			telemetry.WithTracerProvider(tracenoop.NewTracerProvider()),
			telemetry.WithMeterProvider(metricnoop.NewMeterProvider()),
		},
		"the SDK": {
			telemetry.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracetest.NewInMemoryExporter()))),
			telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))),
		},
	}
}

func TestSourceHooks_CachedAllocatesNothing(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	tracer := sdktrace.NewTracerProvider().Tracer("")
	for name, options := range providers() {
		t.Run(name, func(t *testing.T) {
			source := newSource(t, pismo, newTelemetry(t, options...).SourceHooks())
			ctx, span := tracer.Start(context.Background(), "request")
			defer span.End()
			account := alice(t)
			ask := func() {
				if _, err := source.Token(ctx, account); err != nil {
					t.Fatal(err)
				}
			}
			ask()
			if allocs := testing.AllocsPerRun(1000, ask); allocs != 0 {
				t.Errorf("a call makes %v allocations, want none", allocs)
			}
		})
	}
}

func BenchmarkSourceHooks_Cached(b *testing.B) {
	pismo := passporttest.NewServer(b, passporttest.Config{})
	all := providers()
	for _, name := range []string{"nothing set", "noop", "the SDK"} {
		b.Run(name, func(b *testing.B) {
			hooks := newTelemetry(b, all[name]...).SourceHooks()
			source := newSource(b, pismo, hooks)
			one := source.ForAccount(alice(b))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := one.Token(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+", only the hook", func(b *testing.B) {
			hooks := newTelemetry(b, all[name]...).SourceHooks()
			info := tokensource.AcquireInfo{Account: alice(b), Origin: tokensource.OriginCached}
			b.ReportAllocs()
			for b.Loop() {
				hooks.Acquire(context.Background(), info)
			}
		})
	}
}
