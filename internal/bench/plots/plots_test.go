// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const committed = "../" + resultsFile

// The charts in docs are those of the committed results.
func TestPlots_AreOfCommittedResults(t *testing.T) {
	images, err := draw(committed)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, image := range images {
		shown, err := os.ReadFile(filepath.Join("..", imagesDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(shown, image) {
			t.Errorf("docs/images/%s is not drawn from the results; run go -C internal/bench run ./plots", name)
		}
		if !strings.Contains(string(page), "](images/"+name+")") {
			t.Errorf("docs/benchmarks.md does not show %s", name)
		}
	}
}

// A person who cannot see a chart must be able to read it. Everybody must see
// how it was measured.
func TestPlots_AreReadable(t *testing.T) {
	images, err := draw(committed)
	if err != nil {
		t.Fatal(err)
	}
	for name, image := range images {
		decoder := xml.NewDecoder(bytes.NewReader(image))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, want := range []string{
			`role="img"`, "<title", "<desc", "prefers-color-scheme: dark", "pismoauth ", "go1.", " cores", "-count 10", "20",
		} {
			if !bytes.Contains(image, []byte(want)) {
				t.Errorf("%s has no %s", name, want)
			}
		}
	}
}

// Each bar is the median of ten measurements.
func TestPlots_HaveTenMeasurements(t *testing.T) {
	text, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range charts {
		r, err := read(committed, text, c.unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range c.rows {
			for side, values := range r.values[row.name] {
				if len(values) != 10 {
					t.Errorf("%s of %s was measured %d times", row.name, side, len(values))
				}
			}
		}
	}
}

func TestDraw_RefusesIncompleteResults(t *testing.T) {
	text, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	for what, drop := range map[string]string{
		"the results do not say the date":  "date:",
		"the results have no peer for TLS": "BenchmarkTLS/side=DefaultTransport",
	} {
		lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, drop) })
		file := filepath.Join(t.TempDir(), "results.txt")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := draw(file); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("without %s: got %v", drop, err)
		}
	}
}

func TestMedian_IsTheMiddle(t *testing.T) {
	if odd, even := median([]float64{3, 1, 2}), median([]float64{4, 1, 2, 3}); odd != 2 || even != 2.5 {
		t.Errorf("got %v and %v", odd, even)
	}
}
