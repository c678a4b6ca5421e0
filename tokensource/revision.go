package tokensource

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A reviser is an [Issuer] that can tell when its credentials have changed.
type reviser interface {
	Revision(ctx context.Context) string
}

// revision follows the revision of the credentials. Its lock is never held
// while the issuer is asked.
type revision struct {
	reviser reviser // nil if the issuer is none

	mu     sync.Mutex
	known  string
	asked  time.Duration // on the Source's monotonic clock; 0: never
	asking bool          // a question that due has allowed is open
}

// revisionInterval is how often a Source in cooldown asks for the revision.
const revisionInterval = time.Second

// current returns the revision that was last seen.
func (r *revision) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// read asks for the revision, and returns it. An empty revision is not a change.
// Neither is one that is returned after ctx is done: it may only reflect the
// timeout.
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

// due reports whether it is time to ask again, and returns what was last seen.
// It is time once in each revisionInterval, and never while a question is open.
// A caller who gets true must ask, and call answered.
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
// the same. An issuer that ignores its context holds up no one, and is not asked
// a second time before it has answered.
func (s *Source) revised(caller context.Context) bool {
	known, due := s.revision.due(s.now().mono)
	if !due {
		return false
	}
	ctx, cancel := s.issuing(s.limits.Load().timeout)
	answers := detach(func() bool {
		defer cancel()
		defer s.revision.answered()
		return s.revision.read(ctx) != known
	})
	select {
	case a := <-answers:
		return a.value // A panic is no change. The next issuance reports it.
	case <-caller.Done():
		return false
	case <-ctx.Done():
		// The question was given up, or it has just been answered: the answer
		// follows its cancel.
		return errors.Is(ctx.Err(), context.Canceled) && (<-answers).value
	}
}
