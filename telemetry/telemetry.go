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

// Telemetry makes spans and metrics of what happens in a [tokensource.Source]
// and in a [transport.Transport]. Make one with [New]; one is enough for a
// program. It is safe for concurrent use, has no state but its instruments, and
// nothing to close.
type Telemetry struct {
	chosen      trace.Tracer // nil: that of the moment
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

// WithTracerProvider has all spans come from provider. Without it, or with nil,
// each comes from the provider of the span that is in the context of the
// request, and from the global one if there is none: the provider is looked up
// for each span, so that a Caddy, which has one for each configuration and
// never sets the global one, and a program that sets it late, are served alike.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(c *config) { c.tracers = provider }
}

// WithMeterProvider has all metrics go to provider. Without it, or with nil,
// they go to the global one.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) { c.meters = provider }
}

// New returns a Telemetry. It contacts no one. An error says which instruments
// the MeterProvider refuses to make.
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
		t.chosen = c.tracers.Tracer(ScopeName, t.scope...)
	}
	return t, nil
}

// isZero reports whether New did not make this Telemetry. Whoever ignores the
// error of New must not lose a payment to it.
func (t *Telemetry) isZero() bool { return t == nil || t.instruments == nil }

// version returns the version of this module in a program; empty if it is not
// known, as in a test of the module itself.
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

// tracer returns the tracer for what happens in ctx.
func (t *Telemetry) tracer(ctx context.Context) trace.Tracer {
	if t.chosen != nil {
		return t.chosen
	}
	provider := otel.GetTracerProvider()
	// A remote parent comes without a provider.
	span := trace.SpanFromContext(ctx)
	if sc := span.SpanContext(); sc.IsValid() && !sc.IsRemote() {
		provider = span.TracerProvider()
	}
	return provider.Tracer(ScopeName, t.scope...)
}
