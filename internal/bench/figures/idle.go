package main

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// A quiet tells whether anybody else uses the processors. Where somebody does,
// a comparison is none: a contended lock looks good when only one processor is
// left, and so does code that does not scale.
type quiet struct {
	alone time.Duration // the shortest time that one goroutine took for its share
}

const (
	share     = 5_000_000 // rounds of work for each goroutine; some milliseconds
	disturbed = 1.25      // times as long: somebody else is working
	pause     = 50 * time.Millisecond
)

// wait waits until the processors are free, or patience has run out, and
// reports whether they are.
func (q *quiet) wait(ctx context.Context, patience time.Duration) bool {
	for end := time.Now().Add(patience); ; {
		if q.now() {
			return true
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
		time.Sleep(pause)
	}
}

// now reports whether as many goroutines as there are processors get done with
// their shares as fast as one ever did with its own.
func (q *quiet) now() bool {
	for range 3 {
		if took := spin(1); q.alone == 0 || took < q.alone {
			q.alone = took
		}
	}
	return float64(spin(runtime.NumCPU())) < disturbed*float64(q.alone)
}

// spin returns how long n goroutines take for the same work each.
func spin(n int) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			x := uint64(time.Now().Nanosecond()) | 1
			for range share {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
			}
			if x == 0 {
				panic("not reached: xorshift has no zero") // The work must not be optimized away.
			}
		})
	}
	all.Wait()
	return time.Since(start)
}
