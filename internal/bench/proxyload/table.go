package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/perf/benchmath"
)

// What the processor time per request must be at most, for the proxy that does
// the same as the bare ones.
const (
	mustToBare   = 0.9
	mustToPooled = 1.1
)

// writeTable writes what was measured as a table in Markdown.
func writeTable(w io.Writer, results map[setting][]sample) {
	fmt.Fprintf(w, "| connections | variant | CPU µs/request | ratio to bare (must be ≤ %g) | ratio to bare with `BufferPool` (must be ≤ %g) | requests/s | p99 | |\n",
		mustToBare, mustToPooled)
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, n := range connections {
		for _, v := range variants {
			mine := results[setting{n, v}]
			toBare := ratios(mine, results[setting{n, bare}])
			toPooled := ratios(mine, results[setting{n, pooled}])
			fmt.Fprintf(w, "| %d | %s | %.1f | %s | %s | %.0f | %v | %s |\n", n, v,
				median(mine, microseconds).Center, text(toBare), text(toPooled),
				median(mine, func(s sample) float64 { return s.rate }).Center,
				time.Duration(median(mine, func(s sample) float64 { return float64(s.p99) }).Center).Round(10*time.Microsecond),
				verdict(v, toBare, toPooled))
		}
	}
}

// verdict returns whether the targets are met, for the variant that has some.
func verdict(v variant, toBare, toPooled benchmath.Summary) string {
	switch {
	case v != fixed:
		return ""
	case toBare.Center <= mustToBare && toPooled.Center <= mustToPooled:
		return "met"
	default:
		return "**missed**"
	}
}

func microseconds(s sample) float64 { return float64(s.cpu) / float64(time.Microsecond) }

// ratios returns the ratio of the processor times within each round.
func ratios(mine, other []sample) benchmath.Summary {
	values := make([]float64, len(mine))
	for i := range mine {
		values[i] = float64(mine[i].cpu) / float64(other[i].cpu)
	}
	return summary(values)
}

func median(samples []sample, of func(sample) float64) benchmath.Summary {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return summary(values)
}

// summary returns the median with a confidence interval that assumes nothing of
// the distribution.
func summary(values []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), 0.95)
}

// text returns a ratio, with its interval unless there are too few values to
// have one.
func text(s benchmath.Summary) string {
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) || s.Lo == s.Hi {
		return fmt.Sprintf("%.2f", s.Center)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Center, s.Lo, s.Hi)
}
