// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	// storeTimeout bounds one call of the Store.
	storeTimeout = 250 * time.Millisecond
	// storeFailures is the number of failed calls in a row that open the
	// breaker.
	storeFailures = 5
	storeBase     = time.Second
	storeLimit    = 30 * time.Second
)

var (
	errStoreOpen  = tokensource.SafeError("it failed several times in a row, so it is not asked for a while", nil)
	errStorePanic = tokensource.SafeError("it panicked", nil)
	errLongWait   = tokensource.SafeError("it said that a budget is empty for longer than it takes to regain one", nil)
)

// storeError returns an error of the Store whose text is safe to log. It wraps
// err.
func storeError(op Operation, err error) error {
	reason := tokensource.SafeText(err)
	switch {
	case reason != "":
	case errors.Is(err, context.DeadlineExceeded):
		reason = "it did not answer within " + storeTimeout.String()
	default:
		reason = "it returned an error"
	}
	return tokensource.SafeError("fleet: the store failed: "+string(op)+": "+reason, err)
}

// A storeBreaker spares a Store that fails, and the issuances that would wait
// for it. Once its pause is over, one call tries the Store again.
type storeBreaker struct {
	mu       sync.Mutex
	failures int // in a row
	opened   int // in a row
	until    time.Time
	trying   bool
}

// allow reports whether a call may ask the Store.
func (b *storeBreaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.opened == 0:
		return true
	case b.trying || time.Now().Before(b.until):
		return false
	}
	b.trying = true
	return true
}

// report records the result of an allowed call. Calls that began before the
// breaker opened do not lengthen its pause.
func (b *storeBreaker) report(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.failures, b.opened, b.trying = 0, 0, false
		return
	case b.opened > 0 && !b.trying:
		return
	}
	b.failures++
	if b.trying || b.failures >= storeFailures {
		pause := backoff.Exponential(b.opened, storeBase, storeLimit)
		b.until, b.trying = time.Now().Add(backoff.EqualJitter(pause)), false
		b.opened++
	}
}

// abandon ends an allowed call that says nothing about the Store.
func (b *storeBreaker) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}

// openUntil returns the end of the pause, or the zero Time if the breaker is
// closed.
func (b *storeBreaker) openUntil() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == 0 {
		return time.Time{}
	}
	return b.until
}

// call calls the Store within storeTimeout and reports the result to the
// breaker and to the hook. outcome says what a successful answer means. A Store
// that ignores its context is left behind. The caller's own end is no failure
// of the Store.
func call[T any](ctx context.Context, i *Issuer, op Operation, outcome func(T) Outcome, ask func(context.Context) (T, error)) (T, error) {
	var zero T
	if ctx.Err() != nil {
		return zero, ctx.Err()
	}
	ctx, end := i.operation(ctx, op)
	if !i.breaker.allow() {
		err := storeError(op, errStoreOpen)
		end(OutcomeSkipped, err)
		return zero, err
	}
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		defer cancel()
		a := answer{err: errStorePanic}
		defer func() {
			_ = recover() // errStorePanic says it.
			answers <- a
		}()
		a.value, a.err = ask(bounded)
	}()
	var a answer
	select {
	case a = <-answers:
	case <-bounded.Done():
		// The answer may have arrived, since it cancels the context.
		select {
		case a = <-answers:
		default:
			a.err = context.DeadlineExceeded
		}
	}
	if a.err != nil && ctx.Err() != nil {
		i.breaker.abandon()
		end(OutcomeCanceled, ctx.Err())
		return zero, ctx.Err()
	}
	i.breaker.report(a.err)
	if a.err != nil {
		err := storeError(op, a.err)
		end(OutcomeFailed, err)
		return zero, err
	}
	end(outcome(a.value), nil)
	return a.value, nil
}
