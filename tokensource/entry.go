// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// An entry is the state that a [Source] keeps for one account.
type entry struct {
	// The fields of a look-up come first, in one cache line.

	account Account
	lastUse atomic.Int64 // a time.Duration on the Source's monotonic clock

	// stale is the instant from which on current is renewed, so that a
	// look-up does not read the token. It is set after current: a goroutine
	// that finds the new instant finds the new token, too.
	stale sharedInstant
	// current is the token that callers get without a lock. It is nil if
	// there is no token to hand out, or while a refused token is being
	// replaced.
	current atomic.Pointer[Token]

	mu          sync.Mutex
	newest      *Token         // the token issued last, even if out of service
	running     *issuance      // the running issuance, or nil
	cooldown    cooldown       // after failed issuances
	budget      backoff.Budget // for the renewals of refused tokens
	invalidated bool           // an operator took newest out of service
	evicted     bool           // the entry is no longer in the map
}

// fresh returns the current token if it needs no renewal yet, or nil.
func (e *entry) fresh(now instant) *Token {
	if e.stale.load().passed(now) {
		return nil
	}
	t := e.current.Load()
	if t != nil {
		e.touch(now)
	}
	return t
}

// serve puts a token into service. Nil takes the token out of service. The
// caller holds the lock.
func (e *entry) serve(t *Token) {
	e.current.Store(t)
	if t != nil {
		e.stale.store(t.stale())
	}
}

// usable returns the newest token if it may be handed out now, or nil. The
// token need not be the current one: a refused token is usable if it cannot be
// replaced. The caller holds the lock.
func (e *entry) usable(now instant) *Token {
	t := e.newest
	if t == nil || e.invalidated || t.expiring(now) || t.presumedRevoked() {
		return nil
	}
	return t
}

// serving returns the token in service, or nil. A refused token returns to
// service when the patience for its renewal is over. The caller holds the lock.
func (e *entry) serving(now instant) *Token {
	t := e.current.Load()
	if t == nil && (e.running == nil || e.running.patience <= now.mono) {
		t = e.usable(now)
		e.serve(t)
	}
	if t == nil || t.expiring(now) {
		return nil
	}
	return t
}

// join returns the decision to wait for the running issuance. The caller holds
// the lock.
func (e *entry) join(now instant) decision {
	d := decision{issuance: e.running, origin: OriginJoined}
	if e.usable(now) != nil {
		d.patience = e.running.patience - now.mono
	}
	return d
}

// usableNow returns the token that may be handed out, or nil.
func (e *entry) usableNow(now instant) *Token {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.usable(now)
}

// newestRevoked returns the newest token if only its refusals make it unusable,
// or nil. The caller holds the lock.
func (e *entry) newestRevoked(now instant) *Token {
	if t := e.newest; t != nil && !e.invalidated && !t.expiring(now) && t.presumedRevoked() {
		return t
	}
	return nil
}

// reasonToIssue returns why the Source issues a token for a caller without a
// usable token. The caller holds the lock.
func (e *entry) reasonToIssue(now instant) IssueReason {
	switch {
	case e.newest == nil || e.invalidated:
		return ReasonCold
	case e.newestRevoked(now) != nil:
		return ReasonRefused
	}
	return ReasonExpired
}

// checkRepeat returns an error if t may not become the newest token.
//
// If the endpoint hands out the same value again, that is not another token.
// The newest token keeps its age and its refusals, and checkRepeat returns an
// error, so that no request is replayed with the same token. There is one
// exception. An opaque token does not state its expiry, so only the endpoint
// knows whether it has expired. If the endpoint hands out an opaque token again
// after the end of its life, the token begins another life.
//
// The caller holds the lock.
func (e *entry) checkRepeat(t *Token, now instant) *Error {
	again := e.newest != nil && e.newest.Reveal() == t.Reveal()
	over := again && e.newest.end.passed(now)
	switch {
	case !again || over && !t.statesExpiry():
		return nil
	case over:
		return NewError(ErrMalformedResponse, errExpiredAgain)
	}
	e.newest.repeated.Store(true)
	e.invalidated = false
	return NewError(ErrMalformedResponse, errSameToken)
}

// complete ends the issuance f. The token of f becomes the newest token. If f
// has no token, a refused token returns to service.
func (e *entry) complete(f *issuance, now instant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = nil
	if f.token != nil {
		e.newest, e.invalidated = f.token, false
	}
	usable := e.usable(now)
	if f.err != nil {
		f.fallback = usable
	}
	e.serve(usable)
}

// touch records the use of the entry, with a resolution of one second. So a
// busy account does not write to shared memory for each request.
func (e *entry) touch(now instant) {
	if used := e.lastUse.Load(); now.mono-time.Duration(used) > time.Second {
		e.lastUse.Store(int64(now.mono))
	}
}

// inCooldown reports whether the account is in cooldown.
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

// Key implements [lru.Entry].
func (e *entry) Key() Account { return e.account }

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

// Evict implements [lru.Entry]. An entry with a running issuance stays.
func (e *entry) Evict() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != nil {
		return false
	}
	e.evicted = true
	e.current.Store(nil)
	return true
}

// entry returns the entry of account with its lock held.
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
