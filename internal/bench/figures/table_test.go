// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchunit"
)

// Package benchfmt turns ns into sec, also in a unit such as ns/account.
func TestTable_UnitsAreThoseOfBenchfmt(t *testing.T) {
	for _, r := range slices.Concat(table, accountsTable) {
		for _, l := range r.must {
			if _, tidy := benchunit.Tidy(1, l.unit); tidy != l.unit {
				t.Errorf("%s: the unit is %s, want %s", r.what, l.unit, tidy)
			}
		}
	}
}

func TestTable_SaysWhichTargetIsMissed(t *testing.T) {
	ns, ns2 := result{"sec/op": 40e-9, "allocs/op": 0}, result{"sec/op": 41e-9, "allocs/op": 1}
	peer := result{"sec/op": 80e-9, "allocs/op": 3}
	for _, test := range []struct {
		name  string
		must  []limit
		pairs []pair
		want  string
	}{
		{
			"a ratio that is met",
			[]limit{timeRatio(0.9, 0.6)},
			[]pair{{ours: ns, peer: peer}, {ours: ns2, peer: peer}, {ours: ns, peer: peer}},
			"| at most 0.9× the time (aim: 0.6×) | 0.50×: 40ns, 80ns | met |",
		},
		{
			"a ratio that is missed",
			[]limit{timeRatio(0.4, 0)},
			[]pair{{ours: ns, peer: peer}, {ours: ns, peer: peer}, {ours: ns, peer: peer}},
			"| at most 0.4× the time | 0.50×: 40ns, 80ns | **missed** |",
		},
		{
			"one of two that is missed",
			[]limit{timeRatio(0.9, 0), noAllocations},
			[]pair{{ours: ns, peer: peer}, {ours: ns2, peer: peer}, {ours: ns, peer: peer}},
			"| 0.50×: 40ns, 80ns; 1 (3) | **missed** |",
		},
		{
			"pairs that were disturbed do not count",
			[]limit{timeRatio(0.9, 0)},
			[]pair{{ours: peer, peer: ns, disturbed: true}, {ours: ns, peer: peer}, {ours: ns, peer: peer}},
			"| 0.50×: 40ns, 80ns [2 pairs; others were disturbed] | met |",
		},
		{
			"unless there is nothing else",
			[]limit{timeRatio(0.9, 0)},
			[]pair{{ours: ns, peer: peer, disturbed: true}},
			"| 0.50×: 40ns, 80ns [1 of 1 pairs disturbed] | met |",
		},
		{
			"at least",
			[]limit{{atLeast, 4, "req/s", "the requests/s", true, 0}},
			[]pair{{ours: result{"req/s": 300}, peer: result{"req/s": 100}}},
			"| at least 4× the requests/s | 3.00×: 300, 100 [1 pairs; others were disturbed] | **missed** |",
		},
		{
			"a size is the worst of all, and has to be under its bound",
			[]limit{absolute(under, 4*kib, "B/op", "allocated")},
			[]pair{{ours: result{"B/op": 100}}, {ours: result{"B/op": 4 * kib}}, {ours: result{"B/op": 100}}},
			"| under 4.0 KiB allocated | 4.0 KiB | **missed** |",
		},
		{
			"exactly one is not none",
			[]limit{absolute(exactly, 1, "issuances", "issuance")},
			[]pair{{ours: result{"issuances": 0}}},
			"| exactly 1 issuance | 0 | **missed** |",
		},
		{
			"a time is the median",
			[]limit{absolute(under, 1e-3, "p99-sec", "p99 of the wait")},
			[]pair{{ours: result{"p99-sec": 5e-6}}, {ours: result{"p99-sec": 5}}, {ours: result{"p99-sec": 4e-6}}},
			"| under 1ms p99 of the wait | 5µs | met |",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got strings.Builder
			series{rounds: 3}.writeTable(&got, []row{{what: "x", must: test.must}}, [][]pair{test.pairs})
			if !strings.Contains(got.String(), test.want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), test.want)
			}
		})
	}
}

func TestPattern_MatchesOneBenchmark(t *testing.T) {
	const want = "^BenchmarkGet$/^side=oauth2$"
	if got := pattern("Get/side=oauth2"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
