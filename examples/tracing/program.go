// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// latency is the duration of an issuance. All requests of a stampede arrive
// within it.
const latency = 500 * time.Millisecond

// No trace contains the account or the body of the payments.
const (
	account = "102681871"
	query   = "reference=2026-11"
)

// A program is a proxy with telemetry, and its fake server.
type program struct {
	fake          *passporttest.Server
	proxy         *httptest.Server
	source        *tokensource.Source
	authenticated *transport.Transport
	base          *http.Transport

	spans  collector
	traces *sdktrace.TracerProvider
	meters *sdkmetric.MeterProvider
}

func newProgram(ctx context.Context, config passporttest.Config) (*program, error) {
	fake, err := passporttest.Start(config)
	if err != nil {
		return nil, err
	}
	p := &program{fake: fake, base: transport.NewBase()}
	if err := p.export(ctx); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	handler, err := p.handler(platform.FromFakeServer(fake))
	if err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	p.proxy = httptest.NewServer(handler)
	return p, nil
}

// handler returns the proxy with all layers of telemetry in their order.
func (p *program) handler(pismo *platform.Platform) (http.Handler, error) {
	tel, err := telemetry.New(telemetry.WithTracerProvider(p.traces), telemetry.WithMeterProvider(p.meters))
	if err != nil {
		return nil, err
	}
	options := []otelhttp.Option{
		otelhttp.WithTracerProvider(p.traces),
		otelhttp.WithMeterProvider(p.meters),
		otelhttp.WithPropagators(propagation.TraceContext{}), // The platform gets no baggage.
	}
	traced := otelhttp.NewTransport(telemetry.AnnotateSpans(p.base), options...)

	pismo.Issuer.Client = &http.Client{Transport: traced}
	p.source, err = tokensource.New(tokensource.Config{Issuer: pismo.Issuer, Hooks: tel.SourceHooks()})
	if err != nil {
		return nil, err
	}
	if _, err := tel.ObserveSource(p.source); err != nil {
		return nil, err
	}
	p.authenticated, err = transport.New(transport.Config{
		Source: p.source,
		Hosts:  []string{pismo.URL.Host},
		Base:   traced,
		Hooks:  tel.TransportHooks(),
	})
	if err != nil {
		return nil, err
	}
	acct, err := tokensource.ParseAccountID(account)
	if err != nil {
		return nil, err
	}
	proxy, err := middleware.NewProxy(middleware.ProxyConfig{
		Target:    pismo.URL,
		Transport: p.authenticated,
		Account:   middleware.FixedAccount(acct), // A real program takes the account from its own authentication.
	})
	if err != nil {
		return nil, err
	}
	return otelhttp.NewHandler(proxy, "proxy", options...), nil
}

// export sets up the exporters. Spans go into memory for printing. Spans and
// metrics go to the backend that the environment names.
func (p *program) export(ctx context.Context) error {
	traces := []sdktrace.TracerProviderOption{sdktrace.WithSpanProcessor(&p.spans)}
	var meters []sdkmetric.Option
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return err
		}
		traces = append(traces, sdktrace.WithBatcher(exporter))
	}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") != "" {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return err
		}
		meters = append(meters, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	}
	p.traces = sdktrace.NewTracerProvider(traces...)
	p.meters = sdkmetric.NewMeterProvider(meters...)
	return nil
}

// close stops the program, and sends the remaining spans and metrics.
func (p *program) close(ctx context.Context) error {
	if p.proxy != nil {
		p.proxy.Close()
	}
	p.base.CloseIdleConnections()
	p.fake.Close()
	var errs []error
	if p.traces != nil {
		errs = append(errs, p.traces.Shutdown(ctx))
	}
	if p.meters != nil {
		errs = append(errs, p.meters.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
