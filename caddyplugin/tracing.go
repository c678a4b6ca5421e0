package caddyplugin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
)

// newTraced returns a transport that gives each sending a span, where there is
// one to be its parent, and has the upstream know it as the parent of its own:
// the traceparent that the directive tracing puts into the client's request is
// that of Caddy's span for it.
//
// The provider is that of the span in the context, and the propagators those of
// the directive tracing, which sets neither globally.
func newTraced(http *reverseproxy.HTTPTransport) http.RoundTripper {
	return otelhttp.NewTransport(telemetry.Beneath(discreet{http}), otelhttp.WithPropagators(autoprop.NewTextMapPropagator()))
}

// isTraced reports whether a request has a span that is Caddy's own.
func isTraced(req *http.Request) bool {
	parent := trace.SpanContextFromContext(req.Context())
	return parent.IsValid() && !parent.IsRemote()
}

// discreet takes the path of a request out of its span: there may be an account
// in it. That of the directive tracing has it.
type discreet struct{ http *reverseproxy.HTTPTransport }

func (d discreet) RoundTrip(req *http.Request) (*http.Response, error) {
	if span := trace.SpanFromContext(req.Context()); span.IsRecording() {
		span.SetAttributes(attribute.String("url.full", req.URL.Scheme+"://"+req.URL.Host))
	}
	return d.http.RoundTrip(req)
}
