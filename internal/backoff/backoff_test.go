// SPDX-License-Identifier: Apache-2.0

package backoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

const forever = time.Duration(math.MaxInt64)

func TestExponential_DoublesUpToTheLimit(t *testing.T) {
	tests := []struct {
		n                 int
		base, limit, want time.Duration
	}{
		{0, time.Second, 30 * time.Second, time.Second},
		{1, time.Second, 30 * time.Second, 2 * time.Second},
		{4, time.Second, 30 * time.Second, 16 * time.Second},
		{5, time.Second, 30 * time.Second, 30 * time.Second},
		{5, time.Second, 32 * time.Second, 32 * time.Second},
		{1000, time.Second, 30 * time.Second, 30 * time.Second},
		{-1, time.Second, 30 * time.Second, time.Second},
		{0, time.Minute, 30 * time.Second, 30 * time.Second},
		{1, 2, 3, 3},
		{1, 1, 3, 2},
		{61, 1, forever, 1 << 61},
		{62, 1, forever, 1 << 62},
		{63, 1, forever, forever}, // The power overflows.
		{math.MaxInt, time.Second, forever, forever},
	}
	for _, tt := range tests {
		if got := backoff.Exponential(tt.n, tt.base, tt.limit); got != tt.want {
			t.Errorf("Exponential(%d, %v, %v) = %v, want %v", tt.n, tt.base, tt.limit, got, tt.want)
		}
	}
}

// extremes returns the minimum and the maximum of many results of draw.
func extremes(draw func() time.Duration) (least, most time.Duration) {
	least, most = forever, -forever
	for range 2000 {
		d := draw()
		least, most = min(least, d), max(most, d)
	}
	return least, most
}

func TestJitter_CoversItsRange(t *testing.T) {
	const d = time.Second
	if least, most := extremes(func() time.Duration { return backoff.EqualJitter(d) }); least < d/2 || least > d*51/100 || most > d || most < d*99/100 {
		t.Errorf("EqualJitter(%v) is from %v to %v", d, least, most)
	}
	if least, most := extremes(func() time.Duration { return backoff.FullJitter(d) }); least < 0 || least > d/100 || most > d || most < d*99/100 {
		t.Errorf("FullJitter(%v) is from %v to %v", d, least, most)
	}
}

func TestJitter_Extremes(t *testing.T) {
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, 2, 3, forever - 1, forever} {
		if got := backoff.FullJitter(d); got < 0 || got > max(d, 0) {
			t.Errorf("FullJitter(%d) = %d, want 0 to its argument", d, got)
		}
		if got := backoff.EqualJitter(d); d >= 0 && (got < d/2 || got > d) {
			t.Errorf("EqualJitter(%d) = %d, want half its argument to all of it", d, got)
		}
	}
}

func TestBudget_RefillsPerInterval(t *testing.T) {
	var budget backoff.Budget
	take := func(now, want time.Duration) {
		t.Helper()
		if wait := budget.Take(now, 3, 10*time.Second); wait != want {
			t.Errorf("at %v: the wait is %v, want %v", now, wait, want)
		}
	}
	start := time.Hour // The zero Budget is full at any instant.
	for range 3 {
		take(start, 0)
	}
	take(start, 10*time.Second)
	take(start, 10*time.Second) // A refused Take does not change the budget.
	take(start+4*time.Second, 6*time.Second)
	take(start+10*time.Second-1, 1)
	take(start+10*time.Second, 0)
	take(start+10*time.Second, 10*time.Second)
	take(start+25*time.Second, 0)
	take(start+25*time.Second, 5*time.Second)

	later := start + time.Hour // The budget is full again.
	for range 3 {
		take(later, 0)
	}
	take(later, 10*time.Second)
}

func TestBudget_FollowsItsInterval(t *testing.T) {
	var budget backoff.Budget
	for range 3 {
		budget.Take(0, 3, time.Minute)
	}
	// A shorter interval does not shorten the wait for earlier events.
	if wait := budget.Take(time.Minute, 3, time.Second); wait <= 0 || wait > 2*time.Minute {
		t.Errorf("the wait is %v, want 2m0s at most, and not 0", wait)
	}
	if wait := budget.Take(3*time.Minute, 3, time.Second); wait != 0 {
		t.Errorf("the wait is %v, want 0", wait)
	}
}
