// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"runtime/debug"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics
// of this package.
const ScopeName = "github.com/pismoauth/pismoauth/telemetry"

// module is the path of the module that this package is part of.
const module = "github.com/pismoauth/pismoauth"

// A Telemetry makes the spans and the metrics of a [tokensource.Source] and a
// [transport.Transport]. Make it with [New]; a program needs one. The hooks of
// a nil or zero Telemetry do nothing. Its methods may be called concurrently.
// It needs no Close.
type Telemetry struct {
	fixedTracer trace.Tracer // nil: the provider is looked up for each span
	scope       []trace.TracerOption
	instruments *instruments
	propagators propagation.TextMapPropagator
}

// An Option changes what [New] returns.
type Option func(*config)

type config struct {
	version     string // of this module
	tracers     trace.TracerProvider
	meters      metric.MeterProvider
	propagators propagation.TextMapPropagator
}

// WithTracerProvider makes provider the provider of all spans. By default, also
// with nil, a span comes from the provider of the span in the request's
// context, and from the global provider if the context has no span. That
// provider is looked up for each span. So the default works in Caddy, which has
// a provider per configuration and never sets the global one, and in a program
// that sets the global provider late.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(c *config) { c.tracers = provider }
}

// WithMeterProvider makes provider the provider of all metrics. The default,
// also with nil, is the global provider.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) { c.meters = provider }
}

// New returns a Telemetry. It does not use the network. It fails if the
// MeterProvider cannot make an instrument; the error names each such
// instrument.
func New(opts ...Option) (*Telemetry, error) {
	c := config{version: version(debug.ReadBuildInfo())}
	for _, option := range opts {
		if option != nil {
			option(&c)
		}
	}
	if c.meters == nil {
		c.meters = otel.GetMeterProvider()
	}
	if c.propagators == nil {
		c.propagators = propagation.TraceContext{}
	}
	meter := c.meters.Meter(ScopeName, metric.WithInstrumentationVersion(c.version), metric.WithSchemaURL(semconv.SchemaURL))
	instruments, err := newInstruments(meter)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{
		scope:       []trace.TracerOption{trace.WithInstrumentationVersion(c.version), trace.WithSchemaURL(semconv.SchemaURL)},
		instruments: instruments,
		propagators: c.propagators,
	}
	if c.tracers != nil {
		t.fixedTracer = c.tracers.Tracer(ScopeName, t.scope...)
	}
	return t, nil
}

// isZero reports whether t was not made by New. A program that ignores the
// error of New must not lose a payment.
func (t *Telemetry) isZero() bool { return t == nil || t.instruments == nil }

// version returns the version of this module in a program. It returns "" if the
// version is not known, as in a test of this module.
func version(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "(devel)" {
			return m.Version
		}
	}
	return ""
}

// tracer returns the tracer for spans in ctx.
func (t *Telemetry) tracer(ctx context.Context) trace.Tracer {
	if t.fixedTracer != nil {
		return t.fixedTracer
	}
	provider := otel.GetTracerProvider()
	// A remote parent has no provider.
	span := trace.SpanFromContext(ctx)
	if sc := span.SpanContext(); sc.IsValid() && !sc.IsRemote() {
		provider = span.TracerProvider()
	}
	return provider.Tracer(ScopeName, t.scope...)
}
