package tokensource

import (
	"time"
)

// An instant is a moment by both clocks. The monotonic one stops while the
// machine is suspended, the wall clock can be set: taking the larger age of the
// two errs on the safe side in both cases.
type instant struct {
	mono time.Duration // since the Source was made
	wall int64         // nanoseconds since 1970
}

func (i instant) add(d time.Duration) instant { return instant{i.mono + d, i.wall + int64(d)} }

// passed reports whether, by either clock, i is not after now.
func (i instant) passed(now instant) bool { return now.mono >= i.mono || now.wall >= i.wall }
