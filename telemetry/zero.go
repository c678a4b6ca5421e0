// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// beginAtZero makes every counter begin at zero, for every known set of
// attributes. In Prometheus, a series that begins above zero has no increase
// until its next addition: rate() and increase() would not show the first
// failure of each kind, nor an outage between two scrapes.
//
// The first collection adds the zeros. Before, the global MeterProvider may
// drop them, because the program has not set its own provider yet.
func (i *instruments) beginAtZero() error {
	var once sync.Once
	_, err := i.meter.RegisterCallback(func(ctx context.Context, _ metric.Observer) error {
		once.Do(func() { i.addZeros(ctx) })
		return nil
	}, i.cached) // A callback needs an instrument. This one observes nothing.
	return err
}

// addZeros adds zero to each possible series, except those with the value
// [other].
func (i *instruments) addZeros(ctx context.Context) {
	add := func(counter metric.Int64Counter, attributes ...attribute.KeyValue) {
		counter.Add(ctx, 0, metric.WithAttributes(attributes...))
	}
	for _, from := range origins {
		if from != tokensource.OriginSuppressed { // It always has an error.type.
			add(i.acquisitions, origin(from))
		}
	}
	for _, kind := range kinds {
		failed := semconv.ErrorTypeKey.String(string(kind))
		for _, from := range []tokensource.TokenOrigin{tokensource.OriginIssued, tokensource.OriginJoined, tokensource.OriginSuppressed} {
			add(i.acquisitions, origin(from), failed)
		}
		for _, why := range reasons {
			add(i.issuances, reason(why), failed)
		}
	}
	for _, why := range reasons {
		add(i.issuances, reason(why))
	}
	for _, what := range outcomes {
		add(i.rejections, verdict(transport.TokenRefused), known(keyOutcome, what, outcomes))
	}
	for _, v := range verdicts {
		if v != transport.TokenRefused {
			add(i.rejections, verdict(v), outcome(transport.RefusedInfo{Verdict: v}, transport.RefusedResult{}))
		}
	}
}
