// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"sync/atomic"
	"time"
)

// wallInterval is how long a [clock] computes the wall clock's time before it
// reads the wall clock again. A machine that was suspended notices that so much
// later. A token that was checked just before the suspension is sent just as
// late.
const wallInterval = time.Millisecond

// A clock reads the monotonic clock for every instant, and the wall clock once
// in each wallInterval. To read both takes twice as long, and reading the clock
// is most of what it takes to hand out a cached token.
type clock struct {
	monotonic func() time.Duration // since the Source was made
	wall      func() int64         // nanoseconds since 1970

	ahead     atomic.Int64 // of the wall clock over the monotonic clock
	readAgain atomic.Int64 // when to read the wall clock, on the monotonic clock
}

// start starts the clock at the instant 0 of its monotonic clock.
func (c *clock) start() {
	epoch := time.Now()
	c.monotonic = func() time.Duration { return time.Since(epoch) }
	c.wall = func() int64 { return time.Now().UnixNano() }
}

// now returns the current instant.
func (c *clock) now() instant {
	mono := int64(c.monotonic())
	if mono >= c.readAgain.Load() {
		c.ahead.Store(c.wall() - mono)
		c.readAgain.Store(mono + int64(wallInterval))
	}
	return instant{mono: time.Duration(mono), wall: mono + c.ahead.Load()}
}
