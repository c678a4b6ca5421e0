// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// Metrics are the spans and metrics of a client. The metrics are those of
// package telemetry, translated by OpenTelemetry's own exporter: one dashboard
// serves Caddy and other programs.
type Metrics struct {
	Telemetry     *telemetry.Telemetry
	provider      *sdkmetric.MeterProvider
	collector     prometheus.Collector
	registrations []metric.Registration
}

// NewMetrics returns the metrics of one client.
func NewMetrics() (*Metrics, error) {
	m := new(Metrics)
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer((*capturingRegisterer)(m)),
		otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	m.provider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(resource.Empty()))
	m.Telemetry, err = telemetry.New(telemetry.WithMeterProvider(m.provider))
	return m, err
}

// Observe adds the state of a Source to the metrics, and the state of the
// issuer of a fleet unless it is nil.
func (m *Metrics) Observe(source *tokensource.Source, shared *fleet.Issuer) error {
	registration, err := m.Telemetry.ObserveSource(source)
	if err != nil {
		return err
	}
	m.registrations = append(m.registrations, registration)
	if shared == nil {
		return nil
	}
	if registration, err = m.Telemetry.ObserveFleet(shared); err != nil {
		return err
	}
	m.registrations = append(m.registrations, registration)
	return nil
}

// Register adds the metrics to a registry, with the name of the client. Each
// configuration has a new registry.
func (m *Metrics) Register(registry prometheus.Registerer, name string) error {
	return prometheus.WrapRegistererWith(prometheus.Labels{"client": name}, registry).Register(m.collector)
}

// Stop ends the metrics. Requests that are still running record nothing more.
func (m *Metrics) Stop() error {
	for _, registration := range m.registrations {
		if err := registration.Unregister(); err != nil {
			return err
		}
	}
	return m.provider.Shutdown(context.Background())
}

// A capturingRegisterer is a registry that keeps the exporter's collector, so
// that the collector can be registered in several registries.
type capturingRegisterer Metrics

// Register implements [prometheus.Registerer].
func (c *capturingRegisterer) Register(collector prometheus.Collector) error {
	c.collector = collector
	return nil
}

// MustRegister implements [prometheus.Registerer].
func (c *capturingRegisterer) MustRegister(collectors ...prometheus.Collector) {
	for _, collector := range collectors {
		c.collector = collector
	}
}

// Unregister implements [prometheus.Registerer].
func (c *capturingRegisterer) Unregister(prometheus.Collector) bool { return false }
