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

// Tracing gives each sending a span, where there is one to be its parent, and
// has the upstream know it as the parent of its own: the traceparent that the
// directive tracing puts into the client's request is that of Caddy's span for
// it.
//
// The provider is that of the span in the context, and the propagators those of
// the directive tracing, which sets neither globally.
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

// CloseIdleConnections closes them, if the transport below can.
func (t Tracing) CloseIdleConnections() {
	if plain, ok := t.plain.(interface{ CloseIdleConnections() }); ok {
		plain.CloseIdleConnections()
	}
}

// isTraced reports whether a request has a span that is Caddy's own.
func isTraced(req *http.Request) bool {
	parent := trace.SpanContextFromContext(req.Context())
	return parent.IsValid() && !parent.IsRemote()
}

// LogTracingErrors has Caddy's default log show the errors of OpenTelemetry,
// in its format. OpenTelemetry itself writes them to Go's standard logger, for
// which a Caddyfile has no format. An error may quote a header field of a
// client, with an account in it.
//
// OpenTelemetry has one handler for the whole process. This one is the same for
// every configuration.
func LogTracingErrors() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		caddy.Log().Named("tracing").Info("OpenTelemetry has an error", zap.Error(err))
	}))
}
