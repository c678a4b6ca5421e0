// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// metricsOf returns a line for each data point that a reader collects.
func metricsOf(t *testing.T, reader *sdkmetric.ManualReader) []string {
	t.Helper()
	s := fixture{T: t, reader: reader}
	return strings.Split(strings.TrimSuffix(s.renderMetrics(), "\n"), "\n")
}

// A series that begins above zero has no rate and no increase. Alerts would
// miss the first failure of each kind, and an outage between two scrapes.
func TestCounters_BeginAtZero(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	newTelemetry(t, telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	lines := metricsOf(t, reader)
	if len(lines) < 90 || len(lines) > 200 {
		t.Errorf("%d series begin at zero", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(line, " | counter | ") || !strings.HasSuffix(line, " | 0") {
			t.Errorf("the series does not begin at zero: %s", line)
		}
	}
	for _, want := range []string{
		"pismo.token.acquisitions | counter | {acquisition} | pismo.token.acquire.origin=cached | 0",
		"pismo.token.acquisitions | counter | {acquisition} | error.type=credentials_rejected, pismo.token.acquire.origin=suppressed | 0",
		"pismo.token.issuances | counter | {issuance} | error.type=unavailable, pismo.token.issue.reason=ahead | 0",
		"pismo.token.rejections | counter | {rejection} | pismo.token.rejection.outcome=not_renewed, pismo.token.rejection.verdict=token_refused | 0",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the series is missing: %s", want)
		}
	}
}

// Every series of a Source, a Transport and a fleet's store begins at zero.
func TestCounters_HaveNoOtherSeries(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	tel := newTelemetry(t, telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	shared, err := fleet.New(fleet.Config{
		Issuer: &passport.S2S{BaseURL: "https://pismo.example", Credentials: passport.StaticCredentials("key", "secret")},
		Store:  new(fleettest.Memory),
		Key:    passport.Literal("a secret that is long enough"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tel.ObserveFleet(shared); err != nil {
		t.Fatal(err)
	}
	began := metricsOf(t, reader)
	for _, sc := range scenarios {
		runScenario(t, sc, func(s *fixture) {
			for line := range strings.Lines(s.renderMetrics()) {
				fields := strings.Split(line, " | ") // name, instrument, unit, attributes, value
				if fields[1] == "counter" && !slices.Contains(began, strings.Join(append(fields[:4:4], "0"), " | ")) {
					s.Errorf("%s: the series did not begin at zero: %s", sc.name, line)
				}
			}
		})
	}
}

// With delta temporality, zeros in each collection would be extra points. With
// zeros in the first collection only, the second of two readers would miss
// them.
func TestCounters_BeginOnceForAllReaders(t *testing.T) {
	delta := func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }
	first, second := sdkmetric.NewManualReader(), sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta))
	newTelemetry(t, telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(first), sdkmetric.WithReader(second))))
	var both sync.WaitGroup
	for _, reader := range []*sdkmetric.ManualReader{first, second} {
		both.Go(func() {
			var all metricdata.ResourceMetrics
			if err := reader.Collect(context.Background(), &all); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if n := len(metricsOf(t, first)); n < 90 {
		t.Errorf("a reader has %d series", n)
	}
	_ = metricsOf(t, second) // This collection may have the zeros.
	if lines := metricsOf(t, second); len(lines) > 1 || lines[0] != "" {
		t.Errorf("the reader has new points without an event: %q", lines)
	}
}

// lateReader reads the global MeterProvider, which is set after a Telemetry was
// made. A process can set it only once.
var lateReader = sync.OnceValue(func() *sdkmetric.ManualReader {
	if _, err := telemetry.New(); err != nil {
		panic(err)
	}
	reader := sdkmetric.NewManualReader()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	return reader
})

// A program may set its providers after it has created its clients.
func TestCounters_BeginAtZeroWithALateProvider(t *testing.T) {
	if n := len(metricsOf(t, lateReader())); n < 90 {
		t.Errorf("%d series begin at zero", n)
	}
}

// The first collection has everything that was counted before.
func TestCounters_KeepEarlierCounts(t *testing.T) {
	pismo := passporttest.NewInProcess(t, passporttest.Config{})
	s := newFixture(t, pismo, pismo.RoundTripper())
	s.want(s.read("request"), 200)
	want := "pismo.token.acquisitions | counter | {acquisition} | pismo.token.acquire.origin=issued | 1"
	if lines := metricsOf(t, s.reader); !slices.Contains(lines, want) {
		t.Errorf("the series is missing: %s", want)
	}
}
