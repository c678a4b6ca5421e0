// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

// A service has a handler for the app, and a handler for probes and metrics.
type service struct {
	public, admin http.Handler
	closers       []func(context.Context) error
}

func newService(ctx context.Context, c *config, log *slog.Logger) (*service, error) {
	s := new(service)
	observed, err := s.observe(ctx)
	if err != nil {
		return nil, err
	}
	logger := telemetry.NewLogger(log)
	base := observed.client(transport.NewBase())
	issuer := &passport.S2S{
		BaseURL:     c.baseURL.String(),
		Credentials: passport.FileCredentials(c.keyFile, c.secretFile),
		Client:      &http.Client{Transport: base},
	}
	if err := issuer.Credentials.Check(ctx); err != nil { // Finds faults before the first request.
		return nil, err
	}
	source, err := tokensource.New(tokensource.Config{
		Issuer: issuer,
		Hooks:  tokensource.JoinHooks(observed.telemetry.SourceHooks(), logger.SourceHooks()),
	})
	if err != nil {
		return nil, err
	}
	if _, err := observed.telemetry.ObserveSource(source); err != nil {
		return nil, err
	}
	authenticated, err := transport.New(transport.Config{
		Source: source,
		Hosts:  []string{c.baseURL.Host},
		Base:   base,
		Hooks:  transport.JoinHooks(observed.telemetry.TransportHooks(), logger.TransportHooks()),
	})
	if err != nil {
		return nil, err
	}
	if s.public, err = c.proxy(authenticated, log); err != nil {
		return nil, err
	}
	s.public = otelhttp.NewHandler(s.public, "request", otelhttp.WithTracerProvider(observed.tracers), otelhttp.WithPropagators(propagation.TraceContext{}))
	ready, err := middleware.NewReadiness(middleware.ReadinessConfig{Source: source, Account: c.readyAccount})
	if err != nil {
		return nil, err
	}
	admin := http.NewServeMux()
	admin.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	admin.Handle("GET /readyz", ready)
	admin.Handle("GET /metrics", observed.metrics)
	s.admin = admin
	return s, nil
}

// proxy returns the proxy for the app. It maps the JWT to an account.
func (c *config) proxy(authenticated *transport.Transport, log *slog.Logger) (http.Handler, error) {
	account, err := middleware.FromJWT(middleware.JWTConfig{
		Algorithms: []string{"RS256"},
		Key:        func(*jwt.Token) (any, error) { return c.publicKey, nil },
		Issuer:     c.issuer,
		Audience:   c.audience,
		Claim:      c.claim,
	})
	if err != nil {
		return nil, err
	}
	return middleware.NewProxy(middleware.ProxyConfig{Target: c.baseURL, Transport: authenticated, Account: account, Logger: log})
}

// observability has the providers of spans and metrics.
type observability struct {
	telemetry *telemetry.Telemetry
	tracers   *sdktrace.TracerProvider
	metrics   http.Handler
}

// observe sets up spans and metrics. The variables of OpenTelemetry, such as
// OTEL_TRACES_EXPORTER, choose the exporter of spans. Without them, no spans
// are exported. Metrics are for Prometheus.
func (s *service) observe(ctx context.Context) (*observability, error) {
	spans, err := autoexport.NewSpanExporter(ctx, autoexport.WithFallbackSpanExporter(noSpans))
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	o := &observability{
		tracers: sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans)),
		metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	s.closers = append(s.closers, o.tracers.Shutdown, meters.Shutdown)
	o.telemetry, err = telemetry.New(telemetry.WithTracerProvider(o.tracers), telemetry.WithMeterProvider(meters))
	return o, err
}

// client returns a RoundTripper that makes a span for each attempt.
func (o *observability) client(base http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(telemetry.AnnotateSpans(base), otelhttp.WithTracerProvider(o.tracers), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// close exports the last spans.
func (s *service) close() error {
	var errs []error
	for _, end := range s.closers {
		errs = append(errs, end(context.Background()))
	}
	return errors.Join(errs...)
}

// noSpans is the exporter if the environment names none.
func noSpans(context.Context) (sdktrace.SpanExporter, error) { return discard{}, nil }

type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }
