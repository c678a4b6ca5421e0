// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"
)

// writeTable writes the rows as a table in Markdown.
func (s series) writeTable(w io.Writer, rows []row, results [][]pair) {
	fmt.Fprintln(w, "| what | must | measured | |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for i, r := range rows {
		pairs, note := s.valid(r, results[i])
		var must, measured []string
		verdict := "met"
		for _, l := range r.must {
			f := l.judge(pairs)
			must, measured = append(must, l.String()), append(measured, f.text)
			if !f.met {
				verdict = "**missed**"
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s%s | %s |\n", r.what, strings.Join(must, "; "), strings.Join(measured, "; "), note, verdict)
	}
}

// String returns the limit as text.
func (l limit) String() string {
	bound := l.format(l.bound)
	if l.ratio {
		bound = fmt.Sprintf("%g×", l.bound)
	}
	text := fmt.Sprintf("%s %s %s", l.relation, bound, l.what)
	if l.aim > 0 {
		text += fmt.Sprintf(" (aim: %g×)", l.aim)
	}
	return text
}

func (l limit) allows(value float64) bool {
	switch l.relation {
	case atMost:
		return value <= l.bound
	case under:
		return value < l.bound
	case atLeast:
		return value >= l.bound
	case exactly:
		return value == l.bound
	}
	return false
}

// A figure is the measured value for one limit.
type figure struct {
	text string
	met  bool
}

// judge returns the measured figure, and whether it meets the limit.
func (l limit) judge(pairs []pair) figure {
	ours := valuesOf(pairs, func(p pair) result { return p.ours }, l.unit)
	peer := valuesOf(pairs, func(p pair) result { return p.peer }, l.unit)
	if l.ratio {
		ratios := make([]float64, len(ours))
		for i := range ours {
			ratios[i] = ours[i] / peer[i]
		}
		m := median(ratios)
		text := fmt.Sprintf("%.2f×%s: %s, %s", m.Center, interval(m), l.format(median(ours).Center), l.format(median(peer).Center))
		return figure{text, l.allows(m.Center)}
	}
	value := l.summary(ours)
	text := l.format(value)
	if len(peer) > 0 {
		text += " (" + l.format(l.summary(peer)) + ")"
	}
	return figure{text, l.allows(value)}
}

// summary returns one value for many: the median of times, which noise makes
// longer, and the worst of values that should not vary.
func (l limit) summary(values []float64) float64 {
	if l.seconds() {
		return median(values).Center
	}
	return slices.Max(values) // Only ratios have a lower bound.
}

func (l limit) seconds() bool { return strings.Contains(l.unit, "sec") }

// format returns a value with its unit.
func (l limit) format(value float64) string {
	switch {
	case l.seconds():
		return time.Duration(math.Round(value * 1e9)).String()
	case l.unit == "B/op", l.unit == "B/account", l.unit == "peak-bytes":
		return size(value)
	case l.unit == "ms/GC":
		return fmt.Sprintf("%.0f ms", value)
	default:
		return fmt.Sprintf("%.0f", value)
	}
}

func size(bytes float64) string {
	switch {
	case bytes >= mib:
		return fmt.Sprintf("%.1f MiB", bytes/mib)
	case bytes >= kib:
		return fmt.Sprintf("%.1f KiB", bytes/kib)
	default:
		return fmt.Sprintf("%.0f B", bytes)
	}
}

// interval returns the confidence interval, or "" if there are too few values.
func interval(s benchmath.Summary) string {
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		return ""
	}
	return fmt.Sprintf(" (%.2f–%.2f)", s.Lo, s.Hi)
}

// valuesOf returns the values of one side in a unit.
func valuesOf(pairs []pair, side func(pair) result, unit string) []float64 {
	var values []float64
	for _, p := range pairs {
		if value, ok := side(p)[unit]; ok {
			values = append(values, value)
		}
	}
	return values
}

// median returns the median with a nonparametric confidence interval. It does
// not change values.
func median(values []float64) benchmath.Summary {
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95)
}
