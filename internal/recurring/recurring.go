// SPDX-License-Identifier: Apache-2.0

// Package recurring distinguishes the first of many equal events from the
// others. A log then has one line for all of them.
package recurring

import (
	"sync"
	"time"
)

// quietPeriod is the time without an event after which an event begins anew.
const quietPeriod = 10 * time.Minute

// An Event happens for some requests or accounts, and not for others. Only
// silence shows its end. The zero Event has not happened. An Event is safe for
// concurrent use.
type Event struct {
	mu   sync.Mutex
	last time.Time
}

// Begin records that the event happens now. It reports whether the event begins
// anew: whether it did not happen in the last ten minutes.
func (e *Event) Begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.last
	e.last = time.Now()
	return e.last.Sub(before) >= quietPeriod
}
