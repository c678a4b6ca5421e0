// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"
)

// writeTable writes the results as a table in Markdown.
func (c comparison) writeTable(w io.Writer, results map[setting][]sample) {
	fmt.Fprint(w, "| connections | variant | CPU µs/request | ")
	for _, t := range c.targets {
		fmt.Fprintf(w, "ratio to %s (must be ≤ %g) | ", t.name, t.must)
	}
	fmt.Fprintln(w, "requests/s | p99 | |")
	fmt.Fprintln(w, "|---|---|---|"+strings.Repeat("---|", len(c.targets))+"---|---|---|")
	for _, n := range connections {
		for _, v := range c.variants {
			mine := results[setting{n, v}]
			fmt.Fprintf(w, "| %d | %s | %.1f | ", n, v, median(mine, microseconds).Center)
			met := true
			for _, t := range c.targets {
				ratio := ratios(mine, results[setting{n, t.to}])
				met = met && ratio.Center <= t.must
				fmt.Fprintf(w, "%s | ", text(ratio))
			}
			fmt.Fprintf(w, "%.0f | %v | %s |\n",
				median(mine, func(s sample) float64 { return s.rate }).Center,
				time.Duration(median(mine, func(s sample) float64 { return float64(s.p99) }).Center).Round(10*time.Microsecond),
				c.verdict(v, met))
		}
	}
}

// verdict returns the last cell of a variant. Only the subject has targets.
func (c comparison) verdict(v variant, met bool) string {
	switch {
	case v != c.subject:
		return ""
	case met:
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

// summary returns the median with a nonparametric confidence interval.
func summary(values []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), 0.95)
}

// text returns a ratio with its confidence interval. With too few values there
// is no interval.
func text(s benchmath.Summary) string {
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) || s.Lo == s.Hi {
		return fmt.Sprintf("%.2f", s.Center)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Center, s.Lo, s.Hi)
}
