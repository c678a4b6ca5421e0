// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// firstAttempts is the number of attempts in the first issuance of a series of
// failures. The other issuances of the series make one attempt.
const firstAttempts = 2

// attemptPause is the longest pause between attempts. The shortest pause is
// half of it.
const attemptPause = 100 * time.Millisecond

// An outcome is the result of an issuance.
type outcome struct {
	token    *Token
	adopted  bool // another process had issued the token
	err      *Error
	asked    int           // the number of calls of the issuer
	waited   time.Duration // for a slot
	permit   *permit       // nil if the outcome says nothing about the issuer
	revision string        // of the credentials of the last attempt

	// abandoned means that the issuer returned after the end of the issuance.
	// The outcome is dropped.
	abandoned bool
}

// issue waits for a slot and for a permit of the breaker, and then asks the
// issuer. It sets the outcome. An issuer that ignores its context keeps the
// slot until it returns.
func (s *Source) issue(ctx context.Context, f *issuance, o *outcome) {
	queued := s.now().mono
	if o.err = f.limits.slots.acquire(ctx); o.err != nil {
		return
	}
	defer f.limits.slots.release()
	now := s.now()
	if o.permit, o.err = s.breaker.acquire(now.mono, s.revision.current(), f.healthCheck); o.err != nil {
		return
	}
	o.waited = now.mono - queued
	for {
		o.asked++
		s.ask(ctx, f, o)
		if o.err == nil || o.abandoned || o.asked >= f.attempts || !s.repeats(ctx, o.permit, o.err) {
			return
		}
	}
}

// attribute releases the permit of a failure that says nothing about the
// issuer.
func (s *Source) attribute(ctx context.Context, f *issuance, o *outcome) {
	switch {
	case o.err == nil || o.permit == nil:
		return
	case o.err.Kind == ErrRenewalLimited:
		// The issuer did not ask the endpoint, because a budget that it
		// shares is spent.
	case o.err.Kind == ErrTimeout && ctx.Err() != nil && o.waited > f.limits.timeout/2:
		// The issuance spent most of its time waiting for a slot.
		o.err = NewError(ErrOverloaded, ctx.Err())
	default:
		return
	}
	s.breaker.release(o.permit)
	o.permit = nil
}

// repeats reports whether the issuance makes another attempt now. It pauses
// before.
func (s *Source) repeats(ctx context.Context, p *permit, err *Error) bool {
	return !p.probe && transient(err) && s.mayAskAgain(ctx)
}

// transient reports whether another attempt may succeed at once.
func transient(err *Error) bool {
	return err.Kind == ErrUnavailable || err.Kind == ErrMalformedResponse
}

// mayAskAgain pauses before another attempt. It reports whether the issuance
// has time for the attempt, and the breaker is not open.
func (s *Source) mayAskAgain(ctx context.Context) bool {
	pause := time.NewTimer(backoff.EqualJitter(attemptPause))
	defer pause.Stop()
	select {
	case <-pause.C:
		return s.breaker.check(s.now().mono, s.revision.current()) == nil
	case <-ctx.Done():
		return false
	}
}

// ask calls the issuer once and sets the outcome, also if the issuer panics or
// ends its goroutine. If the issuer ignores the end of ctx, the issuance ends
// with a timeout, and ask drops the later result.
func (s *Source) ask(ctx context.Context, f *issuance, o *outcome) {
	asked, waited, permit := o.asked, o.waited, o.permit
	stop := context.AfterFunc(ctx, func() {
		s.complete(ctx, f, &outcome{
			err:      NewError(ErrTimeout, ctx.Err()),
			asked:    asked,
			waited:   waited,
			permit:   permit,
			revision: s.revision.current(),
		})
	})
	defer func() {
		if p := recover(); p != nil {
			o.err = NewError(ErrIssuerPanic, panicError(p))
		}
		o.abandoned = !stop()
	}()
	o.err, o.revision = errEnded, s.revision.current() // They stay if the issuer ends its goroutine.
	sent := s.now()
	o.revision = s.revision.read(ctx)
	grant, err := s.issueFor(ctx, f)
	if err != nil {
		o.err = asError(err)
		return
	}
	o.adopted = grant.Adopted
	o.token, o.err = s.newToken(f.entry.account, grant, sent)
}
