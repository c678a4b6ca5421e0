// Tracing shows in the terminal what a tracing backend would show: the traces of
// a stampede, five payments at once and no token yet, and of a revocation, a
// payment whose token the platform no longer takes.
//
//	go run -C examples/tracing .
//
// It is an authenticating proxy with telemetry in front of a fake of the
// platform, all in this process. It exits with 0 only if the traces are as they
// have to be.
//
// With OTEL_EXPORTER_OTLP_ENDPOINT in the environment, such as
// http://localhost:4318, it sends the traces and the metrics there as well; the
// other variables that OpenTelemetry defines for its OTLP exporter over HTTP
// count too.
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

// run plays each scene and prints its traces.
func run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := newProgram(ctx, passporttest.Config{Latency: latency})
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
			return fmt.Errorf("%s: the traces are\n%s\nand have to be\n%s", s.title, got, s.want)
		}
	}
	return nil
}
