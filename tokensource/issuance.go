// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// renewalPatience is how long new callers wait for the renewal of a refused
// token. After that they get the refused token: a refusal by one endpoint does
// not mean that the token is revoked.
const renewalPatience = time.Second

// issuingKey marks the context of an issuance with its Source.
type issuingKey struct{}

// An issuance is the issuing of one token for one account. All callers that
// wait for an issuance share its outcome.
type issuance struct {
	entry       *entry
	limits      *limits
	number      uint64
	reason      IssueReason
	replaces    *Token // the account's newest token when it began, or nil
	attempts    int    // the most calls of the issuer
	healthCheck bool

	// patience is the time until which new callers wait for the issuance.
	// It is set if the issuance replaces a refused token that is still
	// usable. It is 0 before the first refusal. The entry's lock guards it.
	patience time.Duration

	announced chan struct{} // closed when the Issue hook has returned; nil without a hook
	observer  func(IssueResult)

	// The fields below are set before done is closed, and never changed
	// afterwards.
	done     chan struct{}
	token    *Token
	err      error
	fallback *Token // after a failure, the token that stays in service
}

// numberOr waits until the Issue hook has returned for f, and then returns the
// number of f. If f is nil, it returns the number of the failed issuance that
// caused err, or 0.
func (f *issuance) numberOr(ctx context.Context, err error) uint64 {
	switch {
	case f == nil:
		return suppressedBy(err)
	case f.announced == nil:
		return f.number
	}
	select {
	case <-f.announced:
	case <-ctx.Done():
	}
	return f.number
}

// wait waits until the issuance has ended or ctx is done.
func (f *issuance) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return callerError(ctx)
	}
}

// result returns the token that an issuance brought. If it failed, result
// returns the previous token while that token may be handed out. The issuance
// must have ended.
func (s *Source) result(f *issuance) (*Token, error) {
	if f.fallback != nil && !f.fallback.expiring(s.now()) && !f.fallback.presumedRevoked() {
		return f.fallback, nil
	}
	return f.token, f.err
}

// mayIssue returns nil if an issuance may begin for e: neither the account nor
// the breaker is in cooldown. If both are in cooldown, the error has the
// account's cause and the longer wait. The caller holds the entry's lock.
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

// begin begins an issuance for e, unless a cooldown lasts or too many issuances
// wait. If refused is not nil, the issuance draws on the account's budget for
// renewals. Only hooks use ctx. The caller holds the entry's lock.
func (s *Source) begin(ctx context.Context, e *entry, reason IssueReason, refused *Token, now instant) (*issuance, error) {
	if err := s.mayIssue(e, now); err != nil {
		return nil, err
	}
	limits := s.limits.Load()
	if err := limits.slots.reserve(); err != nil {
		return nil, err
	}
	if refused != nil {
		if wait := e.budget.Take(now.mono, backoff.RenewalBurst, backoff.RenewalInterval(refused.lifetime)); wait > 0 {
			limits.slots.cancel()
			return nil, NewError(ErrRenewalLimited, nil).withRetryAfter(wait)
		}
	}
	f := &issuance{
		entry:       e,
		limits:      limits,
		number:      s.issuances.Add(1),
		reason:      reason,
		replaces:    e.newest,
		attempts:    firstAttempts,
		healthCheck: isHealthCheck(ctx),
		done:        make(chan struct{}),
	}
	if e.cooldown.failures > 0 {
		f.attempts = 1
	}
	if s.hooks.Issue != nil {
		f.announced = make(chan struct{})
	}
	e.running = f
	go s.run(ctx, f)
	return f, nil
}

// issuing returns a context for a call of the issuer. It has none of the
// caller's values, because these must not reach the issuer's HTTP client: the
// dial information of a proxy would send the secret to the upstream.
func (s *Source) issuing(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(context.Background(), issuingKey{}, s), timeout)
}

// run carries out an issuance. The context is independent of the caller's,
// because all callers share the issuance. The issuer runs on the goroutine of
// run, and may end it.
func (s *Source) run(caller context.Context, f *issuance) {
	ctx, cancel := s.issuing(f.limits.timeout)
	defer cancel()
	var o outcome
	defer func() {
		if !o.abandoned {
			s.complete(ctx, f, &o)
		}
	}()
	if ctx, o.err = s.announce(ctx, caller, f); o.err == nil {
		s.issue(ctx, f, &o)
	}
}

// complete ends an issuance. It calls the Issue hook first, then updates the
// entry, then wakes the callers that wait. So a caller with the token finds the
// issuance counted.
func (s *Source) complete(ctx context.Context, f *issuance, o *outcome) {
	s.attribute(ctx, f, o)
	f.observe(s.conclude(f, o))
	f.entry.complete(f, s.now())
	close(f.done)
}

// conclude reports the outcome of an issuance to the breaker and to the
// account's cooldown. It returns the result for the Issue hook.
func (s *Source) conclude(f *issuance, o *outcome) IssueResult {
	e, now := f.entry, s.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.err == nil {
		s.breaker.succeed(e.account, e.newest != nil, o.revision)
		o.err = e.checkRepeat(o.token, now)
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
		return IssueResult{Attempts: o.asked, Serial: o.token.serial, Lifetime: o.token.lifetime, Adopted: o.adopted}
	}
	if o.permit != nil {
		o.err = s.beginCooldown(e, o, now)
	}
	f.err = o.err
	return IssueResult{Attempts: o.asked, Err: o.err}
}

// beginCooldown begins the cooldown of an account after a failure. It returns
// the failure with the time until the next issuance may begin. The caller holds
// the entry's lock.
func (s *Source) beginCooldown(e *entry, o *outcome, now instant) *Error {
	limit := backoff.CooldownLimit
	if o.token != nil { // The endpoint repeated a token. It may issue another one soon.
		limit = min(limit, backoff.RenewalInterval(e.newest.lifetime))
	}
	e.cooldown.add(o.err, o.revision, o.permit.began, now.mono, limit)
	wait := e.cooldown.until - now.mono
	if open := s.breaker.check(now.mono, o.revision); open != nil {
		wait = max(wait, open.RetryAfter)
	}
	return o.err.withRetryAfter(wait)
}
