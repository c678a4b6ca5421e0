// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// FleetHooks returns hooks for [fleet.Config]. They count the operations of the
// store. An operation of an issuance has a span. The hooks of a nil or zero
// Telemetry do nothing.
func (t *Telemetry) FleetHooks() fleet.Hooks {
	if t.isZero() {
		return fleet.Hooks{}
	}
	return fleet.Hooks{Operation: t.operation, Poisoned: t.poisoned}
}

// operation is called for each operation. Without a span above, nobody asks
// what an issuance waits for, so there is no span.
func (t *Telemetry) operation(ctx context.Context, op fleet.Operation) (context.Context, func(fleet.OperationResult)) {
	ctx = orBackground(ctx)
	what := operation(op)
	traced := ctx
	var span trace.Span
	if trace.SpanContextFromContext(ctx).IsValid() {
		traced, span = t.tracer(ctx).Start(ctx, spanStore+what.Value.AsString())
	}
	return traced, func(result fleet.OperationResult) {
		t.instruments.store.operations.Add(ctx, 1, metric.WithAttributes(what, storeOutcome(result.Outcome)))
		if span == nil {
			return
		}
		span.SetAttributes(storeOutcome(result.Outcome))
		if result.Outcome == fleet.OutcomeFailed {
			setStoreError(span, result.Err)
		}
		span.End()
	}
}

func (t *Telemetry) poisoned(ctx context.Context) {
	t.instruments.store.poisoned.Add(orBackground(ctx), 1)
}

// storeInstruments are the metrics of a fleet's store.
type storeInstruments struct {
	operations metric.Int64Counter
	poisoned   metric.Int64Counter
	open       metric.Int64ObservableUpDownCounter
	zeros      *sync.Once // begins the counters at zero
}

func newStoreInstruments(meter metric.Meter) (storeInstruments, error) {
	operations, err1 := meter.Int64Counter("pismo.store.operations",
		metric.WithUnit("{operation}"),
		metric.WithDescription("Operations of a fleet's store, by their outcome."))
	poisoned, err2 := meter.Int64Counter("pismo.store.poisoned",
		metric.WithUnit("{value}"),
		metric.WithDescription("Values of the store that were not used, because no process with the same key sealed them."))
	open, err3 := meter.Int64ObservableUpDownCounter("pismo.store.open",
		metric.WithUnit("{store}"),
		metric.WithDescription("Stores that are not asked for a while, because they failed several times in a row."))
	return storeInstruments{operations, poisoned, open, new(sync.Once)}, errors.Join(err1, err2, err3)
}

// errNoFleet is the error of ObserveFleet without an Issuer.
var errNoFleet = &tokensource.ConfigError{Field: "issuer", Reason: "is nil; use fleet.New"}

// ObserveFleet adds issuer to the metric pismo.store.open until the returned
// registration is unregistered. The metric is a sum over all observed Issuers.
// The counters of the store begin at zero. Call ObserveFleet once for each
// [fleet.Issuer]. It fails if issuer is nil, or if t is nil or zero.
func (t *Telemetry) ObserveFleet(issuer *fleet.Issuer) (metric.Registration, error) {
	switch {
	case issuer == nil:
		return nil, errNoFleet
	case t.isZero():
		return nil, errNoTelemetry
	}
	i := t.instruments
	return i.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		i.store.zeros.Do(func() { i.addStoreZeros(ctx) })
		o.ObserveInt64(i.store.open, oneIfTrue(!issuer.Status().OpenUntil.IsZero()))
		return nil
	}, i.store.open)
}

// addStoreZeros adds zero to each possible series of a program with a store,
// see [instruments.beginAtZero].
func (i *instruments) addStoreZeros(ctx context.Context) {
	i.store.poisoned.Add(ctx, 0)
	for op, outcomes := range outcomesOf {
		for _, outcome := range outcomes {
			i.store.operations.Add(ctx, 0, metric.WithAttributes(operation(op), storeOutcome(outcome)))
		}
	}
	for _, why := range reasons {
		i.issuances.Add(ctx, 0, metric.WithAttributes(reason(why), keyAdopted.Bool(true)))
	}
}

// setStoreError sets the status of the span of an operation that failed. The
// description is constant: it has nothing from the store's answer.
func setStoreError(span trace.Span, err error) {
	kind := other
	if errors.Is(err, context.DeadlineExceeded) {
		kind = string(tokensource.ErrTimeout)
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, "")
}
