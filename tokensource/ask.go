package tokensource

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// firstAttempts is how often the issuer is asked in the first issuance of a
// series of failures; in the others it is asked once.
const firstAttempts = 2

// attemptPause is the longest pause between those attempts; half of it is the
// shortest.
const attemptPause = 100 * time.Millisecond

// An outcome is what an issuance comes to.
type outcome struct {
	token    *Token
	err      *Error
	asked    int     // how often the issuer was asked
	permit   *permit // nil if the issuer had no chance, and so nothing is proved
	revision string  // of the credentials that were used
}

// issue waits for its turn and for a permit of the breaker, and asks the issuer.
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
		o.token, o.revision, o.err = s.ask(ctx, slot, f.entry.account)
		switch {
		case o.err == nil:
		case o.err.Kind == ErrTimeout && ctx.Err() != nil && permit.began-queued > f.limits.timeout/2:
			// The issuance had spent most of its time waiting for its turn.
			// That says nothing about the issuer.
			s.breaker.release(permit)
			o.err = NewError(ErrOverloaded, ctx.Err())
			return o
		case o.asked < f.attempts && !permit.trial && transient(o.err) && s.mayAskAgain(ctx):
			continue
		}
		o.permit = permit
		return o
	}
}

// transient reports whether asking again at once may help.
func transient(err *Error) bool {
	return err.Kind == ErrUnavailable || err.Kind == ErrMalformedResponse
}

// mayAskAgain pauses before another attempt. It reports whether there is time
// for one, and the endpoint not known by then to fail for every account.
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

// ask asks the issuer once, and returns the revision of the credentials too. An
// issuer that panics, or ends its goroutine, is an error. One that ignores its
// context is left behind, with the slot it occupies, and its late answer is
// dropped.
func (s *Source) ask(ctx context.Context, slot *slot, account Account) (*Token, string, *Error) {
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
		grant, err := s.issuer.Issue(ctx, account)
		return issued{grant, revision, err}
	})
	select {
	case a := <-answers:
		switch {
		case a.panicked != nil:
			return nil, s.revision.current(), NewError(ErrIssuerPanic, a.panicked)
		case a.value.err != nil:
			return nil, a.value.revision, asError(a.value.err)
		}
		t, err := s.newToken(account, a.value.grant, asked)
		return t, a.value.revision, err
	case <-ctx.Done():
		return nil, s.revision.current(), NewError(ErrTimeout, ctx.Err())
	}
}
