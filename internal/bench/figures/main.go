// SPDX-License-Identifier: Apache-2.0

// Figures prints the table of docs/benchmarks.md: the targets, the measured
// figures, and whether they meet the targets.
//
//	go -C internal/bench run ./figures
//
// It runs the benchmarks of package bench, each in its own process, alternating
// between the project's side and the peer's, ten times. A ratio is the median
// of the ratios of such pairs. The command repeats a pair if other processes
// used the processors meanwhile. It takes four minutes on an idle machine, and
// at most eight on a busy machine.
//
// With -accounts -for 18m it prints the table for up to a million accounts
// instead, in a quarter of an hour.
//
// The command prints a missed target as missed, and does not fail. With -raw
// file it keeps all results, for benchstat -col /side file. With -quick it runs
// every benchmark once.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	quick := flag.Bool("quick", false, "run each benchmark once, and briefly")
	raw := flag.String("raw", "", "keep the results in this `file`, in the format that benchstat reads")
	many := flag.Bool("accounts", false, "measure the rows for up to a million accounts instead")
	only := flag.String("only", "", "run the rows whose benchmark matches this `regexp`")
	enough := flag.Duration("for", 7*time.Minute, "begin no new round after this time; one takes up to 40s")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := series{rounds: 10, benchtime: 100 * time.Millisecond, patience: time.Second, end: time.Now().Add(*enough)}
	if *quick {
		s = series{rounds: 1, benchtime: 20 * time.Millisecond, end: time.Now()}
	}
	rows := table
	if *many {
		rows = accountsTable
	}
	if err := run(ctx, s, rows, *only, *raw); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s series, rows []row, only, raw string) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !chosen.MatchString(r.ours) })
	kept := io.Discard
	if raw != "" {
		file, err := os.Create(raw)
		if err != nil {
			return err
		}
		defer file.Close()
		kept = file
		fmt.Fprintf(kept, "date: %s\ngo: %s\ncores: %d\ncommand: %s\n",
			time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), strings.Join(append([]string{"figures"}, os.Args[1:]...), " "))
	}
	bench, err := build(ctx, kept)
	if err != nil {
		return err
	}
	defer bench.remove()

	start := time.Now()
	results, err := s.run(ctx, bench, rows)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, %d × %s; took %v.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), bench.cpu, time.Since(start).Round(time.Second))
	fmt.Print("Times and ratios are medians, ratios with their 95 % confidence interval; all else is the worst of all runs.\n\n")
	s.writeTable(os.Stdout, rows, results)
	return nil
}
