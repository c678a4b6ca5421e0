// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// A series says how often, how long and under which conditions benchmarks run.
type series struct {
	rounds    int           // undisturbed measurements of each row
	benchtime time.Duration // how long a benchmark runs
	patience  time.Duration // how long to wait for idle processors
	end       time.Time     // only the first round may begin later
}

// A pair is the results of both sides of a row, measured one after the other.
type pair struct {
	ours, peer result
	disturbed  bool
}

// run measures all rows in each round, so that noise affects all rows.
func (s series) run(ctx context.Context, bench *suite, rows []row) ([][]pair, error) {
	results := make([][]pair, len(rows))
	machine := new(idleDetector)
	for round := 0; round == 0 || time.Now().Before(s.end) && ctx.Err() == nil; round++ {
		complete := true
		for i, r := range rows {
			if s.complete(r, results[i]) {
				continue
			}
			complete = false
			fmt.Fprintf(os.Stderr, "\rround %2d, row %2d of %d ", round+1, i+1, len(rows))
			pairs, err := s.measureRow(ctx, bench, machine, r, round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.what, err)
			}
			results[i] = append(results[i], pairs...)
		}
		if complete {
			break
		}
	}
	fmt.Fprintln(os.Stderr)
	return results, nil
}

// measureRow returns the pair of a row in a round. It returns no pair if the
// machine is busy after the regular rounds: a further disturbed pair has no
// use.
func (s series) measureRow(ctx context.Context, bench *suite, machine *idleDetector, r row, round int) ([]pair, error) {
	if r.compares() && !machine.wait(ctx, s.patience) && round >= s.rounds {
		return nil, nil
	}
	p, err := s.measure(ctx, bench, r, round)
	if err != nil {
		return nil, err
	}
	p.disturbed = r.compares() && !machine.idle()
	return []pair{p}, nil
}

// complete reports whether a row has been measured often enough.
func (s series) complete(r row, pairs []pair) bool {
	if r.compares() {
		pairs = undisturbed(pairs)
	}
	return len(pairs) >= s.rounds
}

// valid returns the pairs that count. The note says if they are too few or
// disturbed. Only comparisons need undisturbed pairs.
func (s series) valid(r row, pairs []pair) (counting []pair, note string) {
	if !r.compares() {
		return pairs, ""
	}
	calm := undisturbed(pairs)
	switch {
	case len(calm) >= s.rounds:
		return calm, ""
	case len(calm) >= s.rounds/2 && len(calm) > 0:
		return calm, fmt.Sprintf(" [%d pairs; others were disturbed]", len(calm))
	default:
		return pairs, fmt.Sprintf(" [%d of %d pairs disturbed]", len(pairs)-len(calm), len(pairs))
	}
}

func undisturbed(pairs []pair) []pair {
	var calm []pair
	for _, p := range pairs {
		if !p.disturbed {
			calm = append(calm, p)
		}
	}
	return calm
}

// measure runs both sides of a row. In every other round the peer comes first.
func (s series) measure(ctx context.Context, bench *suite, r row, round int) (p pair, err error) {
	benchtime := s.benchtime.String()
	if r.once {
		benchtime = "1x"
	}
	type side struct {
		name string
		into *result
	}
	turns := []side{{r.ours, &p.ours}, {r.peer, &p.peer}}
	if round%2 == 1 {
		turns[0], turns[1] = turns[1], turns[0]
	}
	for _, turn := range turns {
		if turn.name == "" {
			continue
		}
		if *turn.into, err = bench.run(ctx, turn.name, benchtime, r.cpu); err != nil {
			return pair{}, err
		}
	}
	for _, l := range r.must {
		if _, ok := p.ours[l.unit]; !ok {
			return pair{}, fmt.Errorf("%s does not report %s", r.ours, l.unit)
		}
	}
	return p, nil
}
