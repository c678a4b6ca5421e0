// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// jaegerConfig is the configuration of a Jaeger 2 that keeps traces in memory.
// It listens at the given addresses only.
const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 100}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "$QUERY"}
    grpc: {endpoint: "$GRPC"}
receivers:
  otlp: {protocols: {http: {endpoint: "$OTLP"}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
`

// go test cannot install Jaeger. To run this test, run go build ./cmd/jaeger in
// a copy of github.com/jaegertracing/jaeger@v1.76.0, and set JAEGER_BIN to the
// path of the binary.
func TestTracing_JaegerShowsWholeTrace(t *testing.T) {
	t.Parallel()
	jaeger := os.Getenv("JAEGER_BIN")
	if jaeger == "" {
		t.Log("LEFT OUT: the test with a real Jaeger. JAEGER_BIN names no binary of it.")
		return
	}
	query, grpc, otlp := freeAddress(t), freeAddress(t), freeAddress(t)
	config := filepath.Join(t.TempDir(), "jaeger.yaml")
	text := strings.NewReplacer("$QUERY", query, "$OTLP", otlp, "$GRPC", grpc).Replace(jaegerConfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	command := exec.CommandContext(context.WithoutCancel(t.Context()), jaeger, "--config", config)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(testTimeout, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		if late.Stop(); t.Failed() {
			t.Log(log.String())
		}
	})
	await(t, "Jaeger serves", func() bool {
		_, err := jaegerSpans(t, query)
		return err == nil
	})
	p := newPlatform(t, passporttest.Config{})
	runTraced(t, p, p.URL(), []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_METRICS_EXPORTER=none"})

	var got string
	await(t, "Jaeger has all spans", func() bool {
		spans, err := jaegerSpans(t, query)
		if err != nil {
			t.Fatal(err)
		}
		got = drawTree(spans, inboundSpan, "")
		return len(spans) == strings.Count(wantTrace, "\n")
	})
	check(t, "trace", got, wantTrace)
}

// freeAddress returns an address that was free a moment ago. Package freeport
// keeps its ports open, and Jaeger cannot share a port.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// jaegerSpans returns the spans that Jaeger has of the client's trace.
func jaegerSpans(t *testing.T, query string) ([]exportedSpan, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+query+"/api/traces/"+inboundTrace, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil // Jaeger has no trace yet.
	}
	var answer struct {
		Data []struct {
			Spans []struct {
				SpanID, OperationName string
				StartTime             uint64
				References            []struct{ RefType, SpanID string }
				Tags                  []struct {
					Key   string
					Value any
				}
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var all []exportedSpan
	for _, trace := range answer.Data {
		for _, span := range trace.Spans {
			t := exportedSpan{id: span.SpanID, name: span.OperationName, start: span.StartTime, attributes: map[string]string{}}
			for _, reference := range span.References {
				if reference.RefType == "CHILD_OF" {
					t.parent = reference.SpanID
				}
			}
			for _, tag := range span.Tags {
				t.attributes[tag.Key] = fmt.Sprint(tag.Value)
			}
			all = append(all, t)
		}
	}
	return all, nil
}
