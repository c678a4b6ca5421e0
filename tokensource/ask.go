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
	asked    int     // the number of calls of the issuer
	permit   *permit // nil if the outcome says nothing about the issuer
	revision string  // of the credentials of the last attempt
}

// issue waits for a slot and for a permit of the breaker, and then asks the
// issuer.
func (s *Source) issue(ctx context.Context, f *issuance) (o outcome) {
	queued := s.now().mono
	slot, err := f.limits.slots.acquire(ctx)
	if err != nil {
		return outcome{err: err}
	}
	defer slot.release()
	permit, err := s.breaker.acquire(s.now().mono, s.revision.current(), f.healthCheck)
	if err != nil {
		return outcome{err: err}
	}
	for o.asked = 1; ; o.asked++ {
		o.token, o.adopted, o.revision, o.err = s.ask(ctx, slot, f)
		switch {
		case o.err == nil:
		case o.err.Kind == ErrRenewalLimited:
			// The issuer did not ask the endpoint, because a budget that it
			// shares is spent. That says nothing about the endpoint.
			s.breaker.release(permit)
			return o
		case o.err.Kind == ErrTimeout && ctx.Err() != nil && permit.began-queued > f.limits.timeout/2:
			// The issuance spent most of its time waiting for a slot. The
			// timeout says nothing about the issuer.
			s.breaker.release(permit)
			o.err = NewError(ErrOverloaded, ctx.Err())
			return o
		case o.asked < f.attempts && s.repeats(ctx, permit, o.err):
			continue
		}
		o.permit = permit
		return o
	}
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

// ask calls the issuer once. It returns the token, whether another process had
// issued it, and the revision of the credentials. It returns an error if the
// issuer panics or ends its goroutine. If the issuer ignores the end of ctx,
// ask leaves the call behind: the call keeps its slot until it returns, and its
// result is dropped.
func (s *Source) ask(ctx context.Context, slot *slot, f *issuance) (*Token, bool, string, *Error) {
	type issued struct {
		grant    Grant
		revision string
		err      error
	}
	asked := s.now()
	slot.hold()
	answers := detach(func() issued {
		defer slot.release()
		revision := s.revision.read(ctx)
		grant, err := s.issueFor(ctx, f)
		return issued{grant, revision, err}
	})
	select {
	case a := <-answers:
		switch {
		case a.panicked != nil:
			return nil, false, s.revision.current(), NewError(ErrIssuerPanic, a.panicked)
		case a.value.err != nil:
			return nil, false, a.value.revision, asError(a.value.err)
		}
		t, err := s.newToken(f.entry.account, a.value.grant, asked)
		return t, a.value.grant.Adopted, a.value.revision, err
	case <-ctx.Done():
		return nil, false, s.revision.current(), NewError(ErrTimeout, ctx.Err())
	}
}
