// SPDX-License-Identifier: Apache-2.0

// Package backoff computes how long to wait after a failure: delays with
// jitter, the Retry-After of a server, and a budget that refills with time.
//
// It reads no clock and does not sleep. Its functions take instants and return
// durations.
package backoff

import (
	"math"
	"math/rand/v2"
	"time"
)

// Exponential returns base·2ⁿ, at most limit. It returns limit if the power
// overflows, and base if n is negative.
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

// EqualJitter returns a random duration between half of d and d. Clients that
// failed together then retry at different times, and no client retries at once.
func EqualJitter(d time.Duration) time.Duration {
	return d - FullJitter(d/2)
}

// FullJitter returns a random duration from 0 to d.
func FullJitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(min(d, math.MaxInt64-1) + 1)
}
