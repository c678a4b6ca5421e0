// Package recurring tells the first of many equal events from the others, so
// that a log has one line for all of them.
package recurring

import (
	"sync"
	"time"
)

// quietPeriod is how long an event must not happen until it begins anew.
const quietPeriod = 10 * time.Minute

// An Event happens for one request or account, and not for the next. It has no
// end but silence. The zero Event has not happened. An Event is safe for
// concurrent use.
type Event struct {
	mu   sync.Mutex
	last time.Time
}

// Begin records that the event happens now. It reports whether the event begins
// anew: it did not happen in the last ten minutes.
func (e *Event) Begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.last
	e.last = time.Now()
	return e.last.Sub(before) >= quietPeriod
}
