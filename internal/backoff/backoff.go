// Package backoff says how long to leave alone what has just failed: delays
// with jitter, a server's Retry-After, and a budget that refills with time.
//
// It knows no clock and sleeps for nobody: instants go in, durations come out.
package backoff

import (
	"math"
	"math/rand/v2"
	"time"
)

// Exponential returns base·2ⁿ, at most limit. It is limit also where the power
// would overflow, and base where n is negative.
func Exponential(n int, base, limit time.Duration) time.Duration {
	delay := base
	for range n {
		if delay >= limit/2+1 {
			return limit
		}
		delay *= 2
	}
	return min(delay, limit)
}

// EqualJitter returns a random duration between half of d and d: clients that
// failed together come back apart, and none at once.
func EqualJitter(d time.Duration) time.Duration {
	return d - FullJitter(d/2)
}

// FullJitter returns a random duration from 0 up to d.
func FullJitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(min(d, math.MaxInt64-1) + 1)
}
