package telemetry

import (
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/internal/trailer"
	"github.com/pismoauth/pismoauth/transport"
)

// AnnotateSpans returns a [http.RoundTripper] to be put beneath the one that makes
// the spans of HTTP requests, which is beneath the [transport.Transport]:
//
//	transport.Config{Base: otelhttp.NewTransport(telemetry.AnnotateSpans(transport.NewBase()))}
//
// There, and only there, the span in a request's context is that of this very
// sending. It sets http.request.resend_count on that of a request that had been
// sent before, be it a replay or a retry; and takes out of url.full what
// otelhttp leaves there and may be an account or a person: the query, and what
// in the path is not a word. https://api.example/v1/accounts/102681871?cpf=1
// becomes https://api.example/v1/accounts/REDACTED. It makes no span of its
// own.
//
// otelhttp sends a copy of the request, and the copy loses the values of
// trailers, which are set while the body is read. Beneath a
// [transport.Transport], AnnotateSpans restores them.
//
// In another place it does no harm with the OpenTelemetry SDK: a span that is
// not of the kind CLIENT is left alone. A nil base means a new
// [transport.NewBase].
func AnnotateSpans(base http.RoundTripper) http.RoundTripper {
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
	out := trailer.Restore(req)
	resp, err := b.base.RoundTrip(out)
	if resp != nil && resp.Request == out {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of the base, if it can.
func (b beneath) CloseIdleConnections() { closeIdleConnections(b.base) }

func closeIdleConnections(base http.RoundTripper) {
	if base, ok := base.(interface{ CloseIdleConnections() }); ok {
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
	if req.URL != nil { // The base answers a request without one with an error.
		attributes = append(attributes, semconv.URLFull(redacted(req.URL)))
	}
	if n := transport.ResendCount(req.Context()); n > 0 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(n))
	}
	span.SetAttributes(attributes...)
}

// redacted returns a URL without what may be an account or a person. The word
// is that of OpenTelemetry's conventions for URLs.
func redacted(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		if !isWord(segment) {
			segments[i] = "REDACTED"
		}
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.Join(segments, "/")}
	return bare.String()
}

// isWord reports whether a segment of a path is a word, as accounts, oauth2 or
// v1: it begins with a letter, and has no more than one digit.
func isWord(segment string) bool {
	digits := 0
	for i, r := range segment {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', i > 0 && (r == '-' || r == '_'):
		case i > 0 && '0' <= r && r <= '9' && digits == 0:
			digits++
		default:
			return false
		}
	}
	return true
}
