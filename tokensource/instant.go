package tokensource

import (
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
