package telemetry

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"

	"github.com/pismoauth/pismoauth/transport"
)

// WithPropagators has [Telemetry.Propagate] write what propagators do. Without it,
// or with nil, that is propagation.TraceContext: who gets a request gets to
// know the trace it is part of, and nothing else. The global propagators mostly
// send baggage too, and so the platform what your services tell each other of a
// customer.
func WithPropagators(propagators propagation.TextMapPropagator) Option {
	return func(c *config) { c.propagators = propagators }
}

// Propagate returns a [http.RoundTripper] that tells whoever gets a request which
// span it is part of, for programs whose client has no instrumentation that
// does:
//
//	transport.Config{Base: telemetry.Inject(transport.NewBase())}
//	passport.S2S{Client: &http.Client{Transport: telemetry.Inject(transport.NewBase())}}
//
// That is the caller's own span and, for an issuance, pismo.token.issue. Where
// otelhttp is used, it is superfluous; leave it out. It changes no request, but
// sends copies, and makes no span of its own. A nil base means a new
// [transport.NewBase].
func (t *Telemetry) Propagate(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = transport.NewBase()
	}
	if t == nil || t.propagators == nil {
		return inject{base, propagation.TraceContext{}}
	}
	return inject{base, t.propagators}
}

type inject struct {
	base        http.RoundTripper
	propagators propagation.TextMapPropagator
}

// RoundTrip sends a copy of the request that tells of its span.
func (i inject) RoundTrip(req *http.Request) (*http.Response, error) {
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

// CloseIdleConnections closes the idle connections of the base, if it can.
func (i inject) CloseIdleConnections() { closeIdleConnections(i.base) }
