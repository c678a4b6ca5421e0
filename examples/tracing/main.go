// SPDX-License-Identifier: Apache-2.0

// Tracing prints two traces as a tracing backend shows them. In a stampede,
// five concurrent payments need a token that is not cached. In a revocation,
// the platform refuses the token of a payment.
//
//	go run -C examples/tracing .
//
// The program runs an authenticating proxy with telemetry and a fake server in
// one process. It exits with 0 only if the traces are as expected.
//
// With OTEL_EXPORTER_OTLP_ENDPOINT in the environment, such as
// http://localhost:4318, it also sends the traces and the metrics there. The
// other variables of OpenTelemetry's OTLP exporter over HTTP work too.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run runs each scenario and prints its traces.
func run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := newProgram(ctx, passporttest.Config{TokenLatency: latency})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close(ctx)) }()
	for _, s := range scenarios {
		if err := s.run(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		traces := treesOf(p.spans.take())
		_, _ = fmt.Fprintf(out, "%s\n\n%s\n", s.title, render(traces, detailed))
		if got := render(traces, shape); got != s.want {
			return fmt.Errorf("%s: the traces are\n%s\nwant\n%s", s.title, got, s.want)
		}
	}
	return nil
}
