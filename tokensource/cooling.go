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

// add notes another failure, of what began some time ago. The delay doubles with
// each, up to a limit, unless the endpoint said how long to wait; "a moment" is a
// second. The limit counts from the beginning: after an endpoint that hangs, too,
// the first success comes within it.
func (c *cooling) add(cause *Error, revision string, began, now, limit time.Duration) {
	limit = max(limit-(now-began), coolingBase)
	delay := backoff.EqualJitter(backoff.Exponential(c.failures, coolingBase, limit))
	if cause.RetryAfter > 0 {
		delay = min(max(cause.RetryAfter, coolingBase), coolingLimitRequested)
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

	mu     sync.Mutex
	known  string
	asked  time.Duration // on the Source's monotonic clock; 0: never
	asking bool          // by due; the question is open
}

// revisionInterval is how often a cooling Source asks for the revision.
const revisionInterval = time.Second

// current returns the revision that was last seen.
func (r *revision) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// read asks for the revision, and returns it. To tell none is no change, and what
// is told when ctx is done already may be no more than that the time was up.
func (r *revision) read(ctx context.Context) string {
	if r.reviser == nil {
		return ""
	}
	now := r.reviser.Revision(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now != "" && ctx.Err() == nil {
		r.known = now
	}
	return r.known
}

// due reports whether it is time to ask again, as it is once in each
// revisionInterval and never while a question is open, and returns what was
// last seen. Who is told so must ask, and call answered.
func (r *revision) due(now time.Duration) (known string, due bool) {
	if r.reviser == nil {
		return "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if due = !r.asking && (r.asked == 0 || now-r.asked >= revisionInterval); due {
		r.asking, r.asked = true, now
	}
	return r.known, due
}

func (r *revision) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking = false
}

// revised reports whether the credentials have changed since an issuance
// failed. A caller who leaves does not wait for the answer, which counts all
// the same. An issuer that ignores its context keeps nobody, and is not asked a
// second time before it has answered.
func (s *Source) revised(caller context.Context) bool {
	known, due := s.revision.due(s.now().mono)
	if !due {
		return false
	}
	ctx, cancel := s.issuing()
	answered, changed := make(chan struct{}), false
	go func() {
		defer cancel()
		defer close(answered)
		defer s.revision.answered()
		defer func() { _ = recover() }() // A panic is no change; the next issuance tells of it.
		changed = s.revision.read(ctx) != known
	}()
	select {
	case <-answered:
	case <-caller.Done():
	case <-ctx.Done(): // Or the question has just been answered.
	}
	select {
	case <-answered:
		return changed
	default:
		return false
	}
}
