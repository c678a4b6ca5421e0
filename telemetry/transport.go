// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/transport"
)

// TransportHooks returns hooks for a [transport.Transport]. Several Transports
// may share them. The hooks of a nil or zero Telemetry do nothing.
func (t *Telemetry) TransportHooks() transport.Hooks {
	if t.isZero() {
		return transport.Hooks{}
	}
	return transport.Hooks{Refused: t.refused}
}

// refused is called for each 401. A 401 that leads to a renewal gets a span,
// which ends before the request is replayed. Every other 401 is only counted.
func (t *Telemetry) refused(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
	ctx = orBackground(ctx)
	if info.Verdict != transport.TokenRefused || info.Replayed {
		return ctx, func(result transport.RefusedResult) {
			t.instruments.rejected(ctx, verdict(info.Verdict), outcome(info, result))
		}
	}
	ctx, span := t.tracer(ctx).Start(ctx, spanRenew,
		trace.WithAttributes(scope(info.Account), serial(keyRefusedSerial, info.Serial)))
	return ctx, func(result transport.RefusedResult) {
		what := outcome(info, result)
		t.instruments.rejected(ctx, verdict(info.Verdict), what)
		span.SetAttributes(what)
		endSpan(span, result.Serial, result.Err)
	}
}
