// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A program has its own TracerProvider. A program with otelhttp wraps the
// result of AnnotateSpans: otelhttp.NewTransport(telemetry.AnnotateSpans(…)).
func ExampleNew() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))

	tel, err := telemetry.New(telemetry.WithTracerProvider(provider))
	if err != nil {
		log.Fatal(err)
	}
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer(), Hooks: tel.SourceHooks()})
	if err != nil {
		log.Fatal(err)
	}
	base := transport.NewBase()
	defer base.CloseIdleConnections()
	authenticated, err := transport.New(transport.Config{
		Source:  source,
		Hosts:   []string{pismo.Host()},
		Account: tokensource.Organization(),
		Base:    telemetry.AnnotateSpans(base),
		Hooks:   tel.TransportHooks(),
	})
	if err != nil {
		log.Fatal(err)
	}
	registration, err := tel.ObserveSource(source)
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()

	client := &http.Client{Transport: authenticated}
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, pismo.URL()+"/v1/organization", nil)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output: pismo.token.issue
}

func ExampleLogger() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()
	logger := telemetry.NewLogger(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case "time", "took", "after", "retry_after", "correlation_id", "error":
				return slog.Attr{} // The value differs in each run.
			}
			return a
		},
	})))
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer(), Hooks: logger.SourceHooks()})
	if err != nil {
		log.Fatal(err)
	}
	_ = transport.Config{Source: source, Hooks: logger.TransportHooks()}

	pismo.Fail(passporttest.Status(http.StatusTooManyRequests))
	for range 100 {
		_, _ = source.Token(context.Background(), tokensource.Organization())
	}
	// Output: level=WARN msg="token issuance is failing" reason=cold scope=organization attempts=1 error_type=rate_limited status=429
}
