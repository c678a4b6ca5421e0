// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// An idleDetector finds out whether other processes use the processors. If they
// do, a comparison is not valid: a contended lock, and code that does not
// scale, look better with fewer processors.
type idleDetector struct {
	alone time.Duration // the shortest time of one goroutine for its work
}

const (
	roundsOfWork   = 5_000_000 // of each goroutine; they take some milliseconds
	disturbedRatio = 1.25      // slower by this factor: other processes are working
	pause          = 50 * time.Millisecond
)

// wait waits until the processors are idle, at most for patience. It reports
// whether they are idle.
func (q *idleDetector) wait(ctx context.Context, patience time.Duration) bool {
	for end := time.Now().Add(patience); ; {
		if q.idle() {
			return true
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
		time.Sleep(pause)
	}
}

// idle reports whether a goroutine per processor does its work as fast as a
// single goroutine.
func (q *idleDetector) idle() bool {
	for range 3 {
		if took := spin(1); q.alone == 0 || took < q.alone {
			q.alone = took
		}
	}
	return float64(spin(runtime.NumCPU())) < disturbedRatio*float64(q.alone)
}

// spin returns how long n goroutines need for the same work each.
func spin(n int) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			x := uint64(time.Now().Nanosecond()) | 1
			for range roundsOfWork {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
			}
			if x == 0 {
				panic("unreachable: xorshift has no zero") // The compiler must not remove the work.
			}
		})
	}
	all.Wait()
	return time.Since(start)
}
