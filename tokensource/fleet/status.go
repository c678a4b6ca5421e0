// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"sync"
	"sync/atomic"
	"time"
)

// Status is the state of an [Issuer]. The counts begin when the Issuer is made.
// It has no name, no value and no account.
type Status struct {
	// Reachable means that the last operation of the Store succeeded. It is
	// false before the first one.
	Reachable bool
	// LastError is the error of the last operation that failed, or nil if the
	// Store has succeeded since. Its text is safe to log, see
	// [OperationResult].
	LastError error
	// OpenUntil is the time until which the Issuer works without the Store,
	// because the Store failed several times in a row. Then one call tries it
	// again. It is the zero Time while the Store is used.
	OpenUntil time.Time

	// Adopted counts the shared tokens that the Issuer handed out.
	Adopted uint64
	// Poisoned counts the values of the Store that were not used, see
	// [Hooks.Poisoned].
	Poisoned uint64
	// Succeeded and Failed count the operations that the Store was asked for.
	// Failed also counts the times that the key could not be used.
	Succeeded, Failed uint64
	// Skipped counts the operations for which the Store was not asked, because
	// it had failed several times in a row.
	Skipped uint64
}

// Status returns the state of the Issuer. It is safe for concurrent use.
func (i *Issuer) Status() Status {
	s := i.tally.status()
	s.OpenUntil = i.breaker.openUntil()
	return s
}

// A tally counts what an Issuer did with its Store.
type tally struct {
	adopted, poisoned, succeeded, failed, skipped atomic.Uint64

	mu   sync.Mutex
	last error // of the last operation
}

// count counts the outcome of an operation.
func (t *tally) count(outcome Outcome, err error) {
	switch outcome {
	case OutcomeCanceled: // It says nothing about the Store.
		return
	case OutcomeSkipped:
		t.skipped.Add(1)
		return
	case OutcomeFailed:
		t.failed.Add(1)
	default:
		t.succeeded.Add(1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = err
}

func (t *tally) status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Status{
		Reachable: t.last == nil && t.succeeded.Load() > 0,
		LastError: t.last,
		Adopted:   t.adopted.Load(),
		Poisoned:  t.poisoned.Load(),
		Succeeded: t.succeeded.Load(),
		Failed:    t.failed.Load(),
		Skipped:   t.skipped.Load(),
	}
}
