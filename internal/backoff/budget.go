// SPDX-License-Identifier: Apache-2.0

package backoff

import "time"

// A Budget allows a burst of events, and then one event per interval. The zero
// Budget is full. Concurrent calls need a lock of the caller.
type Budget struct {
	// full is the instant at which the budget is full again: the theoretical
	// arrival time of the generic cell rate algorithm (ITU-T I.371).
	full time.Duration
}

// Take takes one event from the budget at the instant now, and returns 0. If
// the budget is empty, Take changes nothing and returns the time to wait.
// Instants are durations since an instant of the caller's choice. They must not
// decrease.
func (b *Budget) Take(now time.Duration, burst int, interval time.Duration) time.Duration {
	full := max(b.full, now) + interval
	if wait := full - now - time.Duration(burst)*interval; wait > 0 {
		return wait
	}
	b.full = full
	return 0
}
