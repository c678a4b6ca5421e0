package tokensource

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// An entry is what a [Source] keeps for one account.
type entry struct {
	// current is the token that callers get without a lock. It is nil while
	// there is none to hand out, and while a refused one is being replaced.
	current atomic.Pointer[Token]
	lastUse atomic.Int64 // a time.Duration on the Source's monotonic clock

	account Account

	mu          sync.Mutex
	newest      *Token         // the one issued last, in service or not
	invalidated bool           // an operator took newest out of service
	flight      *issuance      // the issuance that is running, if one is
	cooldown    cooldown       // after failed issuances
	budget      backoff.Budget // for renewals that refusals ask for
	evicted     bool           // this entry is not in the map any more
}

// fresh returns the current token if it needs no renewal yet, and else nil.
func (e *entry) fresh(now instant) *Token {
	t := e.current.Load()
	if t == nil || t.stale.passed(now) {
		return nil
	}
	e.touch(now)
	return t
}

// usable returns the newest token if it may be handed out now, and else nil. It
// may be where it is not current, too: a refused token serves if it cannot be
// replaced. The caller holds the lock.
func (e *entry) usable(now instant) *Token {
	t := e.newest
	if t == nil || e.invalidated || t.expiring(now) || t.condemned() {
		return nil
	}
	return t
}

// serving returns the token that is in service, and else nil. A refused token
// returns to service when the patience of its renewal is over. The caller holds
// the lock.
func (e *entry) serving(now instant) *Token {
	t := e.current.Load()
	if t == nil && (e.flight == nil || e.flight.patience <= now.mono) {
		t = e.usable(now)
		e.current.Store(t)
	}
	if t == nil || t.expiring(now) {
		return nil
	}
	return t
}

// join returns the decision to wait for the issuance that is running. The caller
// holds the lock.
func (e *entry) join(now instant) decision {
	d := decision{flight: e.flight, origin: OriginJoined}
	if e.usable(now) != nil {
		d.patience = e.flight.patience - now.mono
	}
	return d
}

// inHand returns the token that may be handed out, and else nil.
func (e *entry) inHand(now instant) *Token {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.usable(now)
}

// condemned returns the newest token if it could serve but for its refusals. The
// caller holds the lock.
func (e *entry) condemned(now instant) *Token {
	if t := e.newest; t != nil && !e.invalidated && !t.expiring(now) && t.condemned() {
		return t
	}
	return nil
}

// reasonToIssue returns why a token is issued for a caller who has none to use.
func (e *entry) reasonToIssue(now instant) IssueReason {
	switch {
	case e.newest == nil || e.invalidated:
		return ReasonCold
	case e.condemned(now) != nil:
		return ReasonRejected
	}
	return ReasonExpired
}

// admit reports whether t may become the newest token. A value that the endpoint
// hands out again is not another token: the one there is keeps its age, and its
// refusals. That is an error, so that no request is replayed with it. Only an
// opaque token may begin another life when the first is over: nothing but the
// endpoint can tell whether it has expired, and the endpoint hands it out. The
// caller holds the lock.
func (e *entry) admit(t *Token, now instant) *Error {
	again := e.newest != nil && e.newest.Reveal() == t.Reveal()
	over := again && e.newest.end.passed(now)
	switch {
	case !again || over && !t.tellsExpiry():
		return nil
	case over:
		return NewError(ErrMalformedResponse, errExpiredAgain)
	}
	e.newest.repeated.Store(true)
	e.invalidated = false
	return NewError(ErrMalformedResponse, errSameToken)
}

// settle ends the issuance f: its token becomes the newest. If it has none, a
// refused token is back in service.
func (e *entry) settle(f *issuance, now instant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flight = nil
	if f.token != nil {
		e.newest, e.invalidated = f.token, false
	}
	usable := e.usable(now)
	if f.err != nil {
		f.survivor = usable
	}
	e.current.Store(usable)
}

// touch notes that the entry is in use, to the second: a hot account does not
// write to memory that all processors read.
func (e *entry) touch(now instant) {
	if used := e.lastUse.Load(); now.mono-time.Duration(used) > time.Second {
		e.lastUse.Store(int64(now.mono))
	}
}

// inCooldown reports whether issuances failed a moment ago.
func (e *entry) inCooldown(now time.Duration, revision string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cooldown.left(now, revision) > 0
}

// invalidate takes the token out of service, and ends the cooldown.
func (e *entry) invalidate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invalidated = true
	e.cooldown = cooldown{}
	e.current.Store(nil)
}

// LastUse implements [lru.Entry]. Entries that never held a token report an
// older time, so that requests for accounts that do not exist do not evict real
// ones.
func (e *entry) LastUse() time.Duration {
	used := time.Duration(e.lastUse.Load())
	if e.current.Load() == nil {
		used -= idleAccount / 2
	}
	return used
}

// Evict implements [lru.Entry].
func (e *entry) Evict() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight != nil {
		return false
	}
	e.evicted = true
	e.current.Store(nil)
	return true
}

// entry returns the entry of account, locked.
func (s *Source) entry(account Account, now instant) *entry {
	e, ok := s.entries.Load(account)
	for {
		if !ok {
			e = s.entries.LoadOrCreate(account, now.mono, func() *entry {
				e := &entry{account: account}
				e.lastUse.Store(int64(now.mono))
				return e
			})
		}
		e.mu.Lock()
		if !e.evicted {
			return e
		}
		e.mu.Unlock()
		ok = false
	}
}
