// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/internal/trailer"
	"github.com/pismoauth/pismoauth/transport"
)

// AnnotateSpans returns an [http.RoundTripper] that completes the spans of HTTP
// requests. Put it below the RoundTripper that makes those spans, which is
// below the [transport.Transport]:
//
//	transport.Config{Base: otelhttp.NewTransport(telemetry.AnnotateSpans(transport.NewBase()))}
//
// Only in this place does the request's context have the span of exactly this
// attempt. AnnotateSpans sets http.request.resend_count on the span if the
// request was sent before, as a retry or a replay is. It removes from url.full
// what may name an account or a person: the query, and the parts of the path
// that are not words. https://api.example/v1/accounts/102681871?cpf=1 becomes
// https://api.example/v1/accounts/REDACTED. AnnotateSpans makes no span.
//
// otelhttp sends a copy of the request. The copy loses the values of trailers,
// which the caller sets while the body is read. Below a
// [transport.Transport], AnnotateSpans restores them.
//
// In another place, AnnotateSpans does no harm with the OpenTelemetry SDK: it
// changes only spans of the kind CLIENT. A nil base means a new
// [transport.NewBase].
func AnnotateSpans(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = transport.NewBase()
	}
	return annotator{base}
}

type annotator struct{ base http.RoundTripper }

// RoundTrip completes the span in the request's context, and sends the request.
func (b annotator) RoundTrip(req *http.Request) (*http.Response, error) {
	if span := trace.SpanFromContext(req.Context()); isClientSpan(span) {
		annotate(span, req)
	}
	out := trailer.Restore(req)
	resp, err := b.base.RoundTrip(out)
	if resp != nil && resp.Request == out {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of the base, if it has that
// method.
func (b annotator) CloseIdleConnections() { base.CloseIdle(b.base) }

// isClientSpan reports whether span may be the span of an outgoing request. The
// spans of the SDK have a kind; the API does not show the kind of others.
func isClientSpan(span trace.Span) bool {
	if !span.IsRecording() {
		return false
	}
	s, ok := span.(interface{ SpanKind() trace.SpanKind })
	return !ok || s.SpanKind() == trace.SpanKindClient
}

func annotate(span trace.Span, req *http.Request) {
	var attributes []attribute.KeyValue
	if req.URL != nil { // The base returns an error for a request without a URL.
		attributes = append(attributes, semconv.URLFull(redactURL(req.URL)))
	}
	if n := transport.ResendCount(req.Context()); n > 0 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(n))
	}
	span.SetAttributes(attributes...)
}

// redactURL returns u without the parts that may name an account or a person.
// REDACTED is the word of OpenTelemetry's conventions for URLs.
func redactURL(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		if !isWord(segment) {
			segments[i] = "REDACTED"
		}
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.Join(segments, "/")}
	return bare.String()
}

// isWord reports whether a segment of a path is a word, such as accounts,
// oauth2 or v1: it begins with a letter, and has at most one digit.
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
