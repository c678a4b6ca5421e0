package caddyplugin

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
)

// metrics are the spans and metrics of a live client. The metrics are those of
// package telemetry, translated by OpenTelemetry's own exporter: one dashboard
// serves Caddy and other programs.
type metrics struct {
	telemetry    *telemetry.Telemetry
	provider     *sdkmetric.MeterProvider
	collector    prometheus.Collector
	registration metric.Registration
}

func newMetrics() (*metrics, error) {
	m := new(metrics)
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer((*capturingRegisterer)(m)),
		otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	m.provider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(resource.Empty()))
	m.telemetry, err = telemetry.New(telemetry.WithMeterProvider(m.provider))
	return m, err
}

// observe has the metrics tell of what a Source keeps.
func (m *metrics) observe(source *tokensource.Source) (err error) {
	m.registration, err = m.telemetry.ObserveSource(source)
	return err
}

// register shows the metrics in a registry, which each configuration has anew,
// under the name of the client.
func (m *metrics) register(registry prometheus.Registerer, name string) error {
	return prometheus.WrapRegistererWith(prometheus.Labels{"client": name}, registry).Register(m.collector)
}

// stop ends the metrics. Requests that are still running record nothing more.
func (m *metrics) stop() error {
	if err := m.registration.Unregister(); err != nil {
		return err
	}
	return m.provider.Shutdown(context.Background())
}

// A capturingRegisterer is a registry that takes the exporter's collector out of its hands,
// so that it can be registered where and as often as it is needed.
type capturingRegisterer metrics

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
