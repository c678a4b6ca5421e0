package tokensource

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// A lease is what a [Source] keeps for one account.
type lease struct {
	// current is the token that callers are given without a lock. It is nil
	// while there is none, and while the one there is has been refused and its
	// successor is being issued.
	current atomic.Pointer[Token]
	lastUse atomic.Int64 // a time.Duration on the Source's monotonic clock

	account Account

	mu      sync.Mutex
	token   *Token         // the newest one, in service or not
	flight  *issuance      // the issuance that is running, if one is
	cooling cooling        // after failed issuances
	budget  backoff.Budget // for renewals that refusals ask for
	evicted bool           // this lease is not in the map any more
}

// fresh returns the current token if it needs no renewal yet, and else nil.
func (l *lease) fresh(now instant) *Token {
	t := l.current.Load()
	if t == nil || t.stale.passed(now) {
		return nil
	}
	l.touch(now)
	return t
}

// touch notes that the lease is in use, to the second: a hot account does not
// write to memory that all processors read.
func (l *lease) touch(now instant) {
	if used := l.lastUse.Load(); now.mono-time.Duration(used) > time.Second {
		l.lastUse.Store(int64(now.mono))
	}
}

// isCooling reports whether issuances failed a moment ago.
func (l *lease) isCooling(now time.Duration, revision string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cooling.left(now, revision) > 0
}

// LastUse implements [lru.Entry]. Leases that never held a token look as if
// unused for long: made-up accounts do not push out real ones.
func (l *lease) LastUse() time.Duration {
	used := time.Duration(l.lastUse.Load())
	if l.current.Load() == nil {
		used -= idleAccount / 2
	}
	return used
}

// Evict implements [lru.Entry].
func (l *lease) Evict() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flight != nil {
		return false
	}
	l.evicted = true
	l.current.Store(nil)
	return true
}

// lease returns the lease of account, locked.
func (s *Source) lease(account Account, now instant) *lease {
	l, ok := s.leases.Load(account)
	for {
		if !ok {
			l = s.leases.LoadOrCreate(account, now.mono, func() *lease {
				l := &lease{account: account}
				l.lastUse.Store(int64(now.mono))
				return l
			})
		}
		l.mu.Lock()
		if !l.evicted {
			return l
		}
		l.mu.Unlock()
		ok = false
	}
}
