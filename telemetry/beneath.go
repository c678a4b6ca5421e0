package telemetry

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/transport"
)

// Beneath returns a [http.RoundTripper] to be put beneath the one that makes the
// spans of HTTP requests, which is beneath the [transport.Transport]:
//
//	transport.Config{Base: otelhttp.NewTransport(telemetry.Beneath(transport.NewBase()))}
//
// There, and only there, the span in a request's context is that of this very
// sending. It sets http.request.resend_count on that of a request that had been
// sent before, be it a replay or a retry; and takes the query out of url.full,
// where otelhttp leaves it. It makes no span of its own.
//
// In another place it does no harm with the OpenTelemetry SDK: a span that is not
// of the kind CLIENT is left alone. A nil base means a new [transport.NewBase].
func Beneath(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = transport.NewBase()
	}
	return beneath{base}
}

type beneath struct{ base http.RoundTripper }

// RoundTrip completes the span in the request's context, and sends the request.
func (b beneath) RoundTrip(req *http.Request) (*http.Response, error) {
	if span := trace.SpanFromContext(req.Context()); isClients(span) {
		complete(span, req)
	}
	return b.base.RoundTrip(req)
}

// CloseIdleConnections closes the idle connections of the base, if it can.
func (b beneath) CloseIdleConnections() {
	if base, ok := b.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// isClients reports whether a span may be that of a request that goes out. The
// API cannot tell; the SDK's spans can.
func isClients(span trace.Span) bool {
	if !span.IsRecording() {
		return false
	}
	s, ok := span.(interface{ SpanKind() trace.SpanKind })
	return !ok || s.SpanKind() == trace.SpanKindClient
}

func complete(span trace.Span, req *http.Request) {
	var attributes []attribute.KeyValue
	if n := transport.ResendCount(req.Context()); n > 0 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(n))
	}
	if req.URL.RawQuery != "" {
		bare := *req.URL
		bare.User, bare.RawQuery = nil, ""
		attributes = append(attributes, semconv.URLFull(bare.String()))
	}
	span.SetAttributes(attributes...)
}
