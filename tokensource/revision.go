// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A reviser is an [Issuer] that reports the revision of its credentials.
type reviser interface {
	Revision(ctx context.Context) string
}

// revision tracks the revision of the credentials. It never holds its lock
// while it calls the issuer.
type revision struct {
	reviser reviser // nil if the issuer has no Revision

	mu     sync.Mutex
	known  string
	asked  time.Duration // on the Source's monotonic clock; 0 means never
	asking bool          // a call that due allowed has not returned
}

// revisionInterval is the shortest time between two questions of a Source in
// cooldown.
const revisionInterval = time.Second

// current returns the last known revision.
func (r *revision) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// read asks the issuer for the revision, and returns it. An empty revision is
// not a change. A revision that arrives after ctx is done is not a change
// either: it may only reflect the timeout.
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

// due reports whether the Source may ask for the revision now, and returns the
// last known revision. The Source may ask once in each revisionInterval, and
// never while an earlier question is open. A caller that gets true must ask,
// and then call answered.
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
// failed. It stops waiting when the caller's context is done, but still records
// a later answer. If the issuer ignores its context, revised does not wait
// longer than the context, and does not ask again before the issuer has
// answered.
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
		return a.value // A panic is not a change. The next issuance reports it.
	case <-caller.Done():
		return false
	case <-ctx.Done():
		// The time is up, or the answer has just arrived. An answer cancels ctx
		// before it reaches the channel.
		return errors.Is(ctx.Err(), context.Canceled) && (<-answers).value
	}
}
