// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/pismoauth/pismoauth/tokensource"
)

// buckets are the boundaries of the histograms in seconds. The semantic
// conventions advise them for HTTP, so that the histograms are comparable.
var buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// instruments are the metrics.
type instruments struct {
	meter           metric.Meter
	issueDuration   metric.Float64Histogram
	acquireDuration metric.Float64Histogram
	issuances       metric.Int64Counter
	acquisitions    metric.Int64Counter
	rejections      metric.Int64Counter
	cached          metric.Int64ObservableUpDownCounter
	cooldown        metric.Int64ObservableUpDownCounter
	store           storeInstruments

	// The options for every request are made once. To make them for each call
	// would cost three allocations, even with a provider that does nothing.
	fromCache, fromStale []metric.AddOption
	accounts, all        metric.ObserveOption
}

func newInstruments(meter metric.Meter) (*instruments, error) {
	issueDuration, err1 := meter.Float64Histogram("pismo.token.issue.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Duration of issuances, including the wait for a slot and all attempts."),
		metric.WithExplicitBucketBoundaries(buckets...))
	acquireDuration, err2 := meter.Float64Histogram("pismo.token.acquire.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Time that callers waited for an issuance, also after a refused token. Callers who did not wait do not count."),
		metric.WithExplicitBucketBoundaries(buckets...))
	issuances, err3 := meter.Int64Counter("pismo.token.issuances",
		metric.WithUnit("{issuance}"),
		metric.WithDescription("Ended issuances, by their reason."))
	acquisitions, err4 := meter.Int64Counter("pismo.token.acquisitions",
		metric.WithUnit("{acquisition}"),
		metric.WithDescription("Requests that needed a token, by the origin of the token."))
	rejections, err5 := meter.Int64Counter("pismo.token.rejections",
		metric.WithUnit("{rejection}"),
		metric.WithDescription("401 answers of the platform, by verdict and outcome."))
	cached, err6 := meter.Int64ObservableUpDownCounter("pismo.token.cached",
		metric.WithUnit("{token}"),
		metric.WithDescription("Usable tokens."))
	cooldown, err7 := meter.Int64ObservableUpDownCounter("pismo.token.cooldown",
		metric.WithUnit("{cooldown}"),
		metric.WithDescription("Accounts and sources in cooldown after failed issuances."))
	store, err8 := newStoreInstruments(meter)
	option := func(key attribute.Key, value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(key.String(value)))
	}
	i := &instruments{
		meter:           meter,
		issueDuration:   issueDuration,
		acquireDuration: acquireDuration,
		issuances:       issuances,
		acquisitions:    acquisitions,
		rejections:      rejections,
		cached:          cached,
		cooldown:        cooldown,
		store:           store,
		fromCache:       []metric.AddOption{option(keyOrigin, string(tokensource.OriginCached))},
		fromStale:       []metric.AddOption{option(keyOrigin, string(tokensource.OriginStale))},
		accounts:        option(keyExtent, "account"),
		all:             option(keyExtent, "source"),
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		return nil, err
	}
	return i, i.beginAtZero()
}

// acquired counts a request that found no token in the cache. It does not count
// a request whose caller has left.
func (i *instruments) acquired(ctx context.Context, from tokensource.TokenOrigin, err error) {
	if _, failed := errorType(err); err != nil && !failed {
		return
	}
	i.acquisitions.Add(ctx, 1, metric.WithAttributes(withErrorType(err, origin(from))...))
}

// waited records how long a caller waited for an issuance.
func (i *instruments) waited(ctx context.Context, from tokensource.TokenOrigin, since time.Time, err error) {
	i.acquireDuration.Record(ctx, time.Since(since).Seconds(), metric.WithAttributes(withErrorType(err, origin(from))...))
}

// issued counts an issuance, and records its duration. An issuance that adopted
// the token of another process says so.
func (i *instruments) issued(ctx context.Context, why tokensource.IssueReason, since time.Time, result tokensource.IssueResult) {
	of := []attribute.KeyValue{reason(why)}
	if result.Adopted {
		of = append(of, keyAdopted.Bool(true))
	}
	attributes := metric.WithAttributes(withErrorType(result.Err, of...)...)
	i.issuances.Add(ctx, 1, attributes)
	i.issueDuration.Record(ctx, time.Since(since).Seconds(), attributes)
}

// rejected counts a 401.
func (i *instruments) rejected(ctx context.Context, verdict, outcome attribute.KeyValue) {
	i.rejections.Add(ctx, 1, metric.WithAttributes(verdict, outcome))
}

// The errors of ObserveSource.
var (
	errNoSource    = &tokensource.ConfigError{Field: "source", Reason: "is nil; use tokensource.New"}
	errNoTelemetry = &tokensource.ConfigError{Field: "Telemetry", Reason: "is not set; use telemetry.New, and check its error"}
)

// ObserveSource adds source to the metrics pismo.token.cached and
// pismo.token.cooldown, until the returned registration is unregistered. The
// metrics are sums over all observed Sources. The registration keeps source
// alive. Call ObserveSource once for each Source. It fails if source is nil, or
// if t is nil or zero.
func (t *Telemetry) ObserveSource(source *tokensource.Source) (metric.Registration, error) {
	switch {
	case source == nil:
		return nil, errNoSource
	case t.isZero():
		return nil, errNoTelemetry
	}
	i := t.instruments
	return i.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		status := source.Status()
		o.ObserveInt64(i.cached, int64(status.Tokens))
		o.ObserveInt64(i.cooldown, int64(status.CoolingDown), i.accounts)
		o.ObserveInt64(i.cooldown, oneIfTrue(!status.BreakerOpenUntil.IsZero()), i.all)
		return nil
	}, i.cached, i.cooldown)
}

func oneIfTrue(condition bool) int64 {
	if condition {
		return 1
	}
	return 0
}
