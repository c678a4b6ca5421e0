// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A chart compares the sides of benchmarks in one unit.
type chart struct {
	file  string
	title string
	unit  string // of benchfmt: sec/op, not ns/op
	less  bool   // less is better
	rows  []benchmark
}

// A benchmark is a group of bars.
type benchmark struct{ name, label string }

// charts are all charts of docs/benchmarks.md.
var charts = []chart{
	{"benchmark-tokens.svg", "Time to get a token that is cached", "sec/op", true, []benchmark{
		{"AccountSource", "one account"},
		{"AccountSourceParallel", "one account, from all cores"},
		{"Source", "10,000 accounts"},
		{"SourceParallel", "10,000 accounts, from all cores"},
	}},
	{"benchmark-request.svg", "Time that a transport adds to a GET", "sec/op", true, []benchmark{
		{"Get", "a base in the same process"},
	}},
	{"benchmark-tls.svg", "GETs a second over TLS with HTTP/1.1", "req/s", false, []benchmark{
		{"TLS", "32 workers"},
	}},
}

// sides are the names of the peers in the charts.
var sides = map[string]string{
	"pismoauth":        "pismoauth",
	"oauth2":           "x/oauth2",
	"map":              "a map of x/oauth2 sources",
	"retryablehttp":    "go-retryablehttp on x/oauth2",
	"DefaultTransport": "http.DefaultTransport",
	"least":            "the least possible",
}

// results are the values of benchmarks, and how they were measured.
type results struct {
	values map[string]map[string][]float64 // by name and side, in the unit
	order  map[string][]string             // the sides of a benchmark
	config map[string]string
}

// draw returns the charts by their files.
func draw(file string) (map[string][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	images := map[string][]byte{}
	for _, c := range charts {
		r, err := read(file, text, c.unit)
		if err != nil {
			return nil, err
		}
		image, err := c.svg(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.file, err)
		}
		images[c.file] = image
	}
	return images, nil
}

// read returns the values of one unit.
func read(file string, text []byte, unit string) (results, error) {
	r := results{map[string]map[string][]float64{}, map[string][]string{}, map[string]string{}}
	reader := benchfmt.NewReader(bytes.NewReader(text), file)
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return r, record
		case *benchfmt.Result:
			r.add(record, unit)
		}
	}
	return r, reader.Err()
}

func (r results) add(record *benchfmt.Result, unit string) {
	for _, c := range record.Config {
		r.config[c.Key] = string(c.Value)
	}
	value, ok := record.Value(unit)
	_, parts := record.Name.Parts()
	if !ok || len(parts) == 0 {
		return
	}
	name := string(record.Name.Base())
	side, ok := strings.CutPrefix(string(parts[0]), "/side=")
	if !ok {
		return
	}
	if r.values[name] == nil {
		r.values[name] = map[string][]float64{}
	}
	if r.values[name][side] == nil {
		r.order[name] = append(r.order[name], side)
	}
	r.values[name][side] = append(r.values[name][side], value)
}

// median returns the middle of the values.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// how says how the results were measured.
func (r results) how() (string, error) {
	for _, key := range []string{"date", "go", "cores", "cpu", "command"} {
		if r.config[key] == "" {
			return "", errors.New("the results do not say the " + key + "; use -measure")
		}
	}
	return fmt.Sprintf("%s · %s · %s, %s cores", r.config["date"], r.config["go"], r.config["cpu"], r.config["cores"]), nil
}

// format returns a value with its unit.
func format(value float64, unit string) string {
	switch {
	case unit == "req/s":
		return fmt.Sprintf("%.0f requests/s", value)
	case value < 1e-6:
		return fmt.Sprintf("%.0f ns", value*1e9)
	default:
		return fmt.Sprintf("%.2f µs", value*1e6)
	}
}
