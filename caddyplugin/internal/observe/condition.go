package observe

import (
	"sync"
	"time"
)

// How long a condition has to be over before it counts as over. It doubles
// while the condition comes back soon, so that something which flaps is logged
// ever more seldom.
const (
	minQuietPeriod = 10 * time.Second
	maxQuietPeriod = 10 * time.Minute
)

// relapseFactor is how many quiet times after its end a condition that begins
// anew is taken for the same.
const relapseFactor = 10

// A condition begins when something fails, and ends when that has not failed
// for a while and works: what fails and works by turns is one condition. It is
// safe for concurrent use.
type condition struct {
	onEnd func() // called at the end, by a goroutine of its own or that of end

	mu          sync.Mutex
	active      bool
	failed      time.Time     // when it failed the last time
	ended       time.Time     // when the condition ended the last time
	quietPeriod time.Duration // how long it must not fail
	endTimer    *time.Timer   // nil unless it has worked since it failed
}

// newCondition returns a condition that does not hold, and what to do when it
// has ended.
func newCondition(over func()) *condition {
	return &condition{onEnd: over, quietPeriod: minQuietPeriod}
}

// begin notes a failure, and reports whether the condition has begun with it.
func (c *condition) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = time.Now()
	c.cancel()
	if c.active {
		return false
	}
	c.active = true
	if c.failed.Sub(c.ended) < relapseFactor*c.quietPeriod {
		c.quietPeriod = min(2*c.quietPeriod, maxQuietPeriod)
	} else {
		c.quietPeriod = minQuietPeriod
	}
	return true
}

// end notes that it works. The condition ends when it has not failed for long
// enough.
func (c *condition) end() {
	c.mu.Lock()
	wait := c.quietPeriod - time.Since(c.failed)
	if c.active && c.endTimer == nil && wait > 0 {
		c.endTimer = time.AfterFunc(wait, c.finish)
	}
	c.mu.Unlock()
	if wait <= 0 {
		c.finish()
	}
}

// finish ends the condition, if it has not failed in the meantime.
func (c *condition) finish() {
	c.mu.Lock()
	ended := c.active && time.Since(c.failed) >= c.quietPeriod
	if ended {
		c.cancel()
		c.active, c.ended = false, time.Now()
	}
	c.mu.Unlock()
	if ended {
		c.onEnd()
	}
}

// reset has what comes next stand for itself: somebody has intervened, and
// wants to see whether it works now.
func (c *condition) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed, c.ended, c.quietPeriod = time.Time{}, time.Time{}, minQuietPeriod
}

// stop gives up waiting for the end.
func (c *condition) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
}

// cancel stops the timer. A finish that it has started already finds that it
// failed.
func (c *condition) cancel() {
	if c.endTimer != nil {
		c.endTimer.Stop()
		c.endTimer = nil
	}
}

// A recurring event comes for one request and not for the next, so that it has
// no end but silence.
type recurring struct {
	mu   sync.Mutex
	last time.Time
}

// recurringQuietPeriod is how long it has to be over until it can begin again.
const recurringQuietPeriod = 10 * time.Minute

// begin reports whether the event has begun now.
func (r *recurring) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.last
	r.last = time.Now()
	return r.last.Sub(before) > recurringQuietPeriod
}
