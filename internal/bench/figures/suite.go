// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A result is the figures of a benchmark in one process, by unit.
type result map[string]float64

// A suite is the binary of the benchmarks.
type suite struct {
	binary string
	raw    io.Writer // receives the output of the benchmarks
	cpu    string    // the name of the processor, after the first run
}

// build builds the benchmarks of package bench.
func build(ctx context.Context, raw io.Writer) (*suite, error) {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		return nil, err
	}
	s := &suite{binary: filepath.Join(dir, "bench.test"), raw: raw}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", s.binary, "github.com/pismoauth/pismoauth/internal/bench")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		s.remove()
		return nil, fmt.Errorf("building the benchmarks: %w", err)
	}
	return s, nil
}

func (s *suite) remove() { _ = os.RemoveAll(filepath.Dir(s.binary)) }

// run runs one benchmark in its own process. With cpus 0, GOMAXPROCS has its
// default.
func (s *suite) run(ctx context.Context, name, benchtime string, cpus int) (result, error) {
	args := []string{"-test.run=^$", "-test.bench=" + pattern(name), "-test.benchtime=" + benchtime}
	if cpus > 0 {
		args = append(args, "-test.cpu="+strconv.Itoa(cpus))
	}
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	if _, err := s.raw.Write(out); err != nil {
		return nil, err
	}
	return s.parse(name, out)
}

// pattern returns the value of -test.bench for one benchmark.
func pattern(name string) string {
	return "^Benchmark" + strings.ReplaceAll(name, "/", "$/^") + "$"
}

// parse returns the result in the output of one benchmark.
func (s *suite) parse(name string, out []byte) (result, error) {
	measured := result{}
	reader := benchfmt.NewReader(bytes.NewReader(out), name)
	for reader.Scan() {
		if r, ok := reader.Result().(*benchfmt.Result); ok {
			s.cpu = r.GetConfig("cpu")
			for _, v := range r.Values {
				measured[v.Unit] = v.Value
			}
		}
	}
	if len(measured) == 0 {
		return nil, fmt.Errorf("%s has no result:\n%s", name, out)
	}
	return measured, reader.Err()
}
