// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"sync/atomic"
	"time"
)

// An instant is a point in time by both clocks. The monotonic clock stops while
// the machine is suspended. The wall clock can be set. Code that takes the
// larger age of the two is safe in both cases.
type instant struct {
	mono time.Duration // since the Source was made
	wall int64         // nanoseconds since 1970
}

func (i instant) add(d time.Duration) instant { return instant{i.mono + d, i.wall + int64(d)} }

// passed reports whether i is at or before now by either clock.
func (i instant) passed(now instant) bool { return now.mono >= i.mono || now.wall >= i.wall }

// A sharedInstant is an instant that is read without a lock. A reader may find
// one clock of an instant and the other clock of the next.
type sharedInstant struct{ mono, wall atomic.Int64 }

func (s *sharedInstant) store(i instant) {
	s.mono.Store(int64(i.mono))
	s.wall.Store(i.wall)
}

func (s *sharedInstant) load() instant {
	return instant{time.Duration(s.mono.Load()), s.wall.Load()}
}
