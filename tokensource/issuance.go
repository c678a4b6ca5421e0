package tokensource

import (
	"context"
	"time"
)

// renewalPatience is how long new callers wait for the renewal of a refused
// token. After that they get the refused one: refused by one endpoint is not
// revoked.
const renewalPatience = time.Second

// issuingKey marks the context of an issuance with its Source.
type issuingKey struct{}

// An issuance is one token being issued for one account. Those who wait for it
// share what comes of it.
type issuance struct {
	entry       *entry
	limits      *limits
	number      uint64
	reason      IssueReason
	attempts    int // how often the issuer may be asked
	healthCheck bool

	// patience is until when new callers wait for it, if it replaces a refused
	// token that could still serve. It is guarded by the entry's lock, and 0
	// before the first refusal.
	patience time.Duration

	announced chan struct{} // closed when the Issue hook has returned
	observer  func(IssueResult)

	// The rest is set before done is closed, and not changed after.
	done     chan struct{}
	token    *Token
	err      error
	survivor *Token // after a failure, the token that goes on serving
}

// numberOr waits until the Issue hook knows of f, and returns its number. If f
// is nil, it returns that of the failed issuance that caused err, or 0.
func (f *issuance) numberOr(ctx context.Context, err error) uint64 {
	if f == nil {
		return suppressedBy(err)
	}
	select {
	case <-f.announced:
	case <-ctx.Done():
	}
	return f.number
}

// wait waits until the issuance has ended, unless the caller leaves before.
func (f *issuance) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return callerError(ctx)
	}
}

// result returns the token that was issued. If the issuance failed, it returns
// the previous token while that may be handed out. The issuance must have ended.
func (f *issuance) result(now instant) (*Token, error) {
	if f.survivor != nil && !f.survivor.expiring(now) && !f.survivor.condemned() {
		return f.survivor, nil
	}
	return f.token, f.err
}

// mayIssue returns nil if an issuance may begin for e: neither the account nor
// the breaker is in cooldown. If both are, the error has the account's cause,
// and the longer wait. The caller holds the entry's lock.
func (s *Source) mayIssue(e *entry, now instant) *Error {
	revision := s.revision.current()
	left, open := e.cooldown.left(now.mono, revision), s.breaker.check(now.mono, revision)
	switch {
	case left > 0 && open != nil:
		return e.cooldown.cause.suppressed(max(left, open.RetryAfter))
	case left > 0:
		return e.cooldown.cause.suppressed(left)
	}
	return open
}

// begin begins an issuance for e, unless there is a cooldown or too many are
// waiting. If a token was refused, it draws on the account's budget. The caller
// holds the entry's lock; its context is for hooks only.
func (s *Source) begin(ctx context.Context, e *entry, reason IssueReason, refused *Token, now instant) (*issuance, error) {
	if err := s.mayIssue(e, now); err != nil {
		return nil, err
	}
	limits := s.limits.Load()
	if err := limits.slots.reserve(); err != nil {
		return nil, err
	}
	if refused != nil {
		if wait := e.budget.Take(now.mono, renewalBurst, refused.lifetime/renewalRefill); wait > 0 {
			limits.slots.cancel()
			return nil, NewError(ErrRenewalLimited, nil).withRetryAfter(wait)
		}
	}
	f := &issuance{
		entry:       e,
		limits:      limits,
		number:      s.issuances.Add(1),
		reason:      reason,
		attempts:    firstAttempts,
		healthCheck: isHealthCheck(ctx),
		announced:   make(chan struct{}),
		done:        make(chan struct{}),
	}
	if e.cooldown.failures > 0 {
		f.attempts = 1
	}
	e.flight = f
	go s.run(ctx, f)
	return f, nil
}

// issuing returns a context to call the issuer with. It has none of a caller's
// values, because they must not reach the issuer's client: a proxy's dial info
// would send the secret to the upstream.
func (s *Source) issuing(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(context.Background(), issuingKey{}, s), timeout)
}

// run carries an issuance out, on a context of its own: it belongs to all who
// wait for it.
func (s *Source) run(caller context.Context, f *issuance) {
	ctx, cancel := s.issuing(f.limits.timeout)
	defer cancel()
	ctx, err := s.announce(ctx, caller, f)
	close(f.announced)
	if err != nil {
		s.complete(f, outcome{err: err})
		return
	}
	s.complete(f, s.issue(ctx, f))
}

// complete ends an issuance. The Issue hook learns of it first, then the entry,
// then those who wait: whoever has the token finds it counted.
func (s *Source) complete(f *issuance, o outcome) {
	f.observe(s.conclude(f, o))
	f.entry.settle(f, s.now())
	close(f.done)
}

// conclude tells the breaker and the account's cooldown what came of an issuance,
// and returns what the Issue hook learns.
func (s *Source) conclude(f *issuance, o outcome) IssueResult {
	e, now := f.entry, s.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.err == nil {
		s.breaker.succeed(e.account, e.newest != nil, o.revision)
		o.err = e.admit(o.token, now)
	} else if o.permit != nil {
		o.err = s.breaker.fail(o.permit, failedIssuance{
			account:  e.account,
			held:     e.newest != nil,
			inARow:   e.cooldown.failures + 1,
			cause:    o.err.withIssuance(f.number),
			revision: o.revision,
			ended:    now.mono,
		})
	}
	if o.err == nil {
		e.cooldown = cooldown{}
		f.token = o.token
		return IssueResult{Attempts: o.asked, Serial: o.token.serial, Lifetime: o.token.lifetime}
	}
	if o.permit != nil {
		o.err = s.cool(e, o, now)
	}
	f.err = o.err
	return IssueResult{Attempts: o.asked, Err: o.err}
}

// cool begins the cooldown of an account after a failure, and returns the failure
// with the time until which no issuance will begin. The caller holds the entry's
// lock.
func (s *Source) cool(e *entry, o outcome, now instant) *Error {
	limit := cooldownLimit
	if o.token != nil { // The same one again: the next attempt may bring another.
		limit = min(limit, e.newest.lifetime/renewalRefill)
	}
	e.cooldown.add(o.err, o.revision, o.permit.began, now.mono, limit)
	wait := e.cooldown.until - now.mono
	if open := s.breaker.check(now.mono, o.revision); open != nil {
		wait = max(wait, open.RetryAfter)
	}
	return o.err.withRetryAfter(wait)
}
