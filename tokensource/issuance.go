package tokensource

import (
	"context"
	"fmt"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// firstAttempts is how often the issuer is asked in the first issuance of a
// series of failures; in the others it is asked once.
const firstAttempts = 2

// attemptPause is the longest pause between those attempts; half of it is the
// shortest.
const attemptPause = 100 * time.Millisecond

// issuingKey marks the context of an issuance with its Source.
type issuingKey struct{}

// An issuance is one token being issued for one account. Those who wait for it
// share what comes of it.
type issuance struct {
	lease    *lease
	number   uint64
	reason   Reason
	attempts int // how often the issuer may be asked

	announce chan struct{} // closed when the Issue hook has returned
	observer func(IssueResult)

	// The rest is set before done is closed, and not changed after.
	done     chan struct{}
	token    *Token
	err      error
	survivor *Token // after a failure, the token that serves on
}

// announced waits until the Issue hook knows of f, and returns its number. Where
// there is none to wait for, it is that of the one whose failure err tells of.
func (f *issuance) announced(err error) uint64 {
	if f == nil {
		return suppressedBy(err)
	}
	<-f.announce // Hooks do not block.
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

// usable returns the token that was issued or, where that failed, the one that
// serves on. The issuance must have ended.
func (f *issuance) usable(now instant) (*Token, error) {
	if f.survivor != nil && !f.survivor.dead.passed(now) {
		return f.survivor, nil
	}
	return f.token, f.err
}

// clear reports whether an issuance may begin for l: neither the account nor
// the Source is cooling. If both are, the error has the account's cause, and
// the longer wait. The caller holds the lease's lock.
func (s *Source) clear(l *lease, now instant) error {
	revision := s.revision.current()
	left, closed := l.cooling.left(now.mono, revision), s.gate.check(now.mono, revision)
	switch {
	case left > 0 && closed != nil:
		return l.cooling.cause.suppressed(max(left, closed.RetryAfter))
	case left > 0:
		return l.cooling.cause.suppressed(left)
	case closed != nil:
		return closed
	}
	return nil
}

// begin begins an issuance for l, unless something is cooling or too many are
// waiting. The caller holds the lease's lock; its context is for hooks only.
func (s *Source) begin(ctx context.Context, l *lease, reason Reason, now instant) (*issuance, error) {
	if err := s.clear(l, now); err != nil {
		return nil, err
	}
	if err := s.queue.join(); err != nil {
		return nil, err
	}
	f := &issuance{
		lease:    l,
		number:   s.issuances.Add(1),
		reason:   reason,
		attempts: firstAttempts,
		announce: make(chan struct{}),
		done:     make(chan struct{}),
	}
	if l.cooling.failures > 0 {
		f.attempts = 1
	}
	l.flight = f
	go s.run(ctx, f)
	return f, nil
}

// issuing returns a context to call the issuer with. It has none of a caller's
// values, because they must not reach the issuer's client: a proxy's dial info
// would send the secret to the upstream.
func (s *Source) issuing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(context.Background(), issuingKey{}, s), s.timeout)
}

// run carries an issuance out, on a context of its own: it belongs to all who
// wait for it.
func (s *Source) run(caller context.Context, f *issuance) {
	ctx, cancel := s.issuing()
	defer cancel()
	if s.hooks.Issue != nil {
		info := IssueInfo{Account: f.lease.account, Issuance: f.number, Reason: f.reason}
		ctx, f.observer = s.hooks.Issue(ctx, caller, info)
	}
	close(f.announce)
	s.settle(f, s.issue(ctx, f))
}

// An outcome is what an issuance comes to.
type outcome struct {
	token    *Token
	err      *Error
	asked    int           // how often the issuer was asked
	failed   bool          // the issuer had its chance for this account
	revision string        // of the credentials that failed
	began    time.Duration // when its turn came, on the Source's monotonic clock
}

// issue waits for its turn, passes the gate, and asks the issuer.
func (s *Source) issue(ctx context.Context, f *issuance) (o outcome) {
	queued := s.now().mono
	place, err := s.queue.enter(ctx)
	if err != nil {
		return outcome{err: err}
	}
	defer place.release()
	account := f.lease.account
	pass, err := s.gate.enter(s.now().mono, s.revision.current())
	if err != nil {
		return outcome{err: err}
	}
	pass.queued = pass.began - queued
	// One call at a time for each account: the probe's own issuance may be this
	// one, or have entered before the gate closed, and not be back yet.
	if pass.probe != (Account{}) && !s.issuingFor(pass.probe) {
		o.asked++
		if o.err = s.probe(ctx, f, place, pass); o.err != nil {
			return o
		}
		pass.trial = false
	}
	for attempt := 1; ; attempt++ {
		o.asked++
		t, revision, err := s.ask(ctx, place, account)
		switch {
		case err == nil:
			s.gate.succeed(account)
			o.token = t
			return o
		case s.late(ctx, err, pass):
			o.err = s.overloaded(ctx, pass)
			return o
		case attempt < f.attempts && !pass.trial && transient(err) && s.mayAskAgain(ctx):
			continue
		}
		o.err, o.failed, o.revision, o.began = err.of(f.number), true, revision, pass.began
		s.gate.fail(pass, account, o.err, revision, s.now().mono)
		return o
	}
}

// late reports whether a call of the issuer was cut short because the issuance
// had spent most of its time in the queue. That says nothing about the issuer.
func (s *Source) late(ctx context.Context, err *Error, pass pass) bool {
	return err.Kind == ErrTimeout && ctx.Err() != nil && pass.queued > s.timeout/2
}

// overloaded is the failure of an issuance whose turn came too late.
func (s *Source) overloaded(ctx context.Context, pass pass) *Error {
	s.gate.leave(pass)
	return NewError(ErrOverloaded, ctx.Err())
}

// transient reports whether asking again at once may help.
func transient(err *Error) bool {
	return err.Kind == ErrUnavailable || err.Kind == ErrMalformedResponse
}

// mayAskAgain pauses before another attempt. It reports whether there is time
// for one, and the endpoint not known by then to fail everybody.
func (s *Source) mayAskAgain(ctx context.Context) bool {
	pause := time.NewTimer(backoff.EqualJitter(attemptPause))
	defer pause.Stop()
	select {
	case <-pause.C:
		return s.gate.check(s.now().mono, s.revision.current()) == nil
	case <-ctx.Done():
		return false
	}
}

// ask asks the issuer once. An issuer that panics, or ends its goroutine, is an
// error; one that ignores its context is left behind, with the place it
// occupies, and its late answer dropped.
func (s *Source) ask(ctx context.Context, place *place, account Account) (*Token, string, *Error) {
	type answer struct {
		grant    Grant
		revision string
		err      error
	}
	asked := s.now()
	answers := make(chan answer, 1)
	place.hold()
	go func() {
		defer place.release()
		a := answer{revision: s.revision.current(), err: NewError(ErrIssuerPanic, nil)}
		defer func() {
			if p := recover(); p != nil {
				a.err = NewError(ErrIssuerPanic, fmt.Errorf("issuer panicked: %v", p))
			}
			answers <- a
		}()
		a.revision = s.revision.read(ctx)
		a.grant, a.err = s.issuer.Issue(ctx, account)
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, a.revision, asError(a.err)
		}
		t, err := s.newToken(account, a.grant, asked)
		if err != nil {
			return nil, a.revision, asError(err)
		}
		return t, "", nil
	case <-ctx.Done():
		return nil, s.revision.current(), NewError(ErrTimeout, ctx.Err())
	}
}

// settle ends an issuance: the lease learns what came of it, then those who
// wait.
func (s *Source) settle(f *issuance, o outcome) {
	l, now := f.lease, s.now()
	result := IssueResult{Attempts: o.asked}
	l.mu.Lock()
	l.flight = nil
	if o.err == nil {
		l.token = o.token
		l.cooling = cooling{}
		f.token = o.token
		result.Serial, result.Lifetime = o.token.serial, o.token.lifetime
	} else {
		if o.failed {
			l.cooling.add(o.err, o.revision, o.began, now.mono, coolingLimit)
			wait := l.cooling.until - now.mono
			if closed := s.gate.check(now.mono, o.revision); closed != nil {
				wait = max(wait, closed.RetryAfter)
			}
			o.err = o.err.after(wait)
		}
		f.err, f.survivor = o.err, l.token
		result.Err = o.err
	}
	l.current.Store(l.token) // A refused token is back in service if there is no other.
	l.mu.Unlock()
	if f.observer != nil {
		f.observer(result) // Before anyone goes on: who has the token finds it counted.
	}
	close(f.done)
}
