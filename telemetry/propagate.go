// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"

	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/transport"
)

// WithPropagators sets the propagators of [Telemetry.Propagate]. The default,
// also with nil, is propagation.TraceContext: a request carries its trace
// context and nothing else. The global propagators mostly send baggage too,
// which may tell the platform what your services know of a customer.
func WithPropagators(propagators propagation.TextMapPropagator) Option {
	return func(c *config) { c.propagators = propagators }
}

// Propagate returns an [http.RoundTripper] that injects the trace context into
// outgoing requests. Use it when the client is not otherwise instrumented:
//
//	transport.Config{Base: tel.Propagate(transport.NewBase())}
//	passport.S2S{Client: &http.Client{Transport: tel.Propagate(transport.NewBase())}}
//
// The trace context names the span of the caller or, for an issuance, the span
// pismo.token.issue. With otelhttp, leave Propagate out. Propagate sends a copy
// of each request, and makes no span. A nil base means a new
// [transport.NewBase].
func (t *Telemetry) Propagate(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = transport.NewBase()
	}
	if t == nil || t.propagators == nil {
		return propagator{base, propagation.TraceContext{}}
	}
	return propagator{base, t.propagators}
}

type propagator struct {
	base        http.RoundTripper
	propagators propagation.TextMapPropagator
}

// RoundTrip sends a copy of the request with the trace context.
func (i propagator) RoundTrip(req *http.Request) (*http.Response, error) {
	out := new(http.Request)
	*out = *req
	if out.Header = req.Header.Clone(); out.Header == nil {
		out.Header = http.Header{}
	}
	i.propagators.Inject(req.Context(), propagation.HeaderCarrier(out.Header))
	resp, err := i.base.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of the base, if it has that
// method.
func (i propagator) CloseIdleConnections() { base.CloseIdle(i.base) }
