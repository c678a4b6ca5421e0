// SPDX-License-Identifier: Apache-2.0

// Plots draws the charts of docs/benchmarks.md from the raw results in
// internal/bench/results, which are in the format of Go's benchmarks.
//
//	go -C internal/bench run ./plots            draws the charts
//	go -C internal/bench run ./plots -measure   measures first, for some minutes
//
// benchstat reads the same results: benchstat -col /side results/peers.txt
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The files are relative to the directory of the module.
const (
	resultsFile = "results/peers.txt"
	imagesDir   = "../../docs/images"
)

// arguments are those of go, to measure.
var arguments = []string{
	"test", "-run", "^$", "-bench", "^Benchmark(AccountSource|Source|Get|TLS)(Parallel)?$",
	"-count", "10", "-benchtime", "200ms", ".",
}

func main() {
	measures := flag.Bool("measure", false, "measure first, and replace the results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *measures)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, measures bool) error {
	if measures {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	images, err := draw(resultsFile)
	if err != nil {
		return err
	}
	for name, image := range images {
		if err := os.WriteFile(filepath.Join(imagesDir, name), image, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the benchmarks and replaces the results.
func measure(ctx context.Context) error {
	command := exec.CommandContext(ctx, "go", arguments...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, os.Stderr
	command.Env = append(os.Environ(), "GOWORK=off")
	if err := command.Run(); err != nil {
		return errors.Join(fmt.Errorf("the benchmarks fail: %w", err), errors.New(output.String()))
	}
	quoted := make([]string, len(arguments))
	for i, a := range arguments {
		if quoted[i] = a; strings.ContainsAny(a, "^$|()") {
			quoted[i] = "'" + a + "'"
		}
	}
	head := fmt.Sprintf("date: %s\ngo: %s\ncores: %d\ncommand: go %s\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), strings.Join(quoted, " "))
	return os.WriteFile(resultsFile, append([]byte(head), output.Bytes()...), 0o644)
}
