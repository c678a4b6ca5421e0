// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/telemetry"
)

// Tracing starts a span for each attempt, if the request has a parent span. It
// sends that span to the upstream as the parent. Without Tracing, the
// traceparent from the directive tracing would name Caddy's span for the whole
// request.
//
// Tracing uses the provider of the span in the context, and the propagators of
// the directive tracing. That directive sets neither globally.
type Tracing struct {
	plain  http.RoundTripper
	traced http.RoundTripper
}

// NewTracing returns a Tracing that sends requests over plain.
func NewTracing(plain http.RoundTripper) Tracing {
	return Tracing{plain, otelhttp.NewTransport(telemetry.AnnotateSpans(plain), otelhttp.WithPropagators(autoprop.NewTextMapPropagator()))}
}

// RoundTrip sends a request.
func (t Tracing) RoundTrip(req *http.Request) (*http.Response, error) {
	if isTraced(req) {
		return t.traced.RoundTrip(req)
	}
	return t.plain.RoundTrip(req)
}

// CloseIdleConnections closes idle connections, if the transport below supports
// it.
func (t Tracing) CloseIdleConnections() {
	if plain, ok := t.plain.(interface{ CloseIdleConnections() }); ok {
		plain.CloseIdleConnections()
	}
}

// isTraced reports whether a request has a span that Caddy started.
func isTraced(req *http.Request) bool {
	parent := trace.SpanContextFromContext(req.Context())
	return parent.IsValid() && !parent.IsRemote()
}

// LogTracingErrors writes the errors of OpenTelemetry to Caddy's default log,
// in its format. By default OpenTelemetry writes them to Go's standard logger,
// whose format a Caddyfile cannot set. An error may quote a header field of a
// client, with an account in it.
//
// OpenTelemetry has one handler for the whole process. Every configuration sets
// the same handler.
func LogTracingErrors() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		caddy.Log().Named("tracing").Info("OpenTelemetry has an error", zap.Error(err))
	}))
}
