package tokensource

import (
	"context"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// How long issuances are left alone after failures.
const (
	coolingBase = time.Second
	// coolingLimit bounds the delay for most causes; coolingLimitRejected that
	// of a Source whose credentials are rejected, which no waiting mends;
	// coolingLimitRequested what a Retry-After can ask for.
	coolingLimit          = 30 * time.Second
	coolingLimitRejected  = 5 * time.Minute
	coolingLimitRequested = time.Minute
)

// cooling is the memory of issuances that failed in a row. The zero cooling
// remembers none.
type cooling struct {
	failures int
	cause    *Error
	until    time.Duration // on the Source's monotonic clock
	revision string        // of the credentials that failed
}

// add notes another failure. The delay doubles with each, up to a limit, unless
// the endpoint said how long to wait.
func (c *cooling) add(cause *Error, revision string, now time.Duration, limit time.Duration) {
	delay := backoff.EqualJitter(backoff.Exponential(c.failures, coolingBase, limit))
	if cause.RetryAfter > 0 {
		delay = min(cause.RetryAfter, coolingLimitRequested)
	}
	*c = cooling{c.failures + 1, cause, now + delay, revision}
}

// left returns how long it is until the next attempt makes sense; 0 if it does
// now. Failures with other credentials than those of today do not count.
func (c *cooling) left(now time.Duration, revision string) time.Duration {
	if c.failures == 0 || c.revision != revision {
		return 0
	}
	return max(c.until-now, 0)
}

// A reviser is an [Issuer] that can tell when its credentials have changed.
type reviser interface {
	Revision(ctx context.Context) string
}

// revision follows the credentials' revision. Its lock is never held while the
// issuer is asked.
type revision struct {
	reviser reviser // nil if the issuer is none

	mu    sync.Mutex
	known string
	asked time.Duration // on the Source's monotonic clock; 0: never
}

// revisionInterval is how often a cooling Source asks for the revision.
const revisionInterval = time.Second

// current returns the revision that was last seen.
func (r *revision) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// read asks for the revision, and returns it.
func (r *revision) read(ctx context.Context) string {
	if r.reviser == nil {
		return ""
	}
	now := r.reviser.Revision(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = now
	return now
}

// changed reports whether the revision has changed since it was last seen. It
// asks no more than once in each revisionInterval.
func (r *revision) changed(ctx context.Context, now time.Duration) bool {
	if r.reviser == nil {
		return false
	}
	r.mu.Lock()
	known, due := r.known, r.asked == 0 || now-r.asked >= revisionInterval
	if due {
		r.asked = now
	}
	r.mu.Unlock()
	return due && r.read(ctx) != known
}
