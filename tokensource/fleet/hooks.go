// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"log/slog"
	"time"

	"github.com/pismoauth/pismoauth/internal/hooks"
)

// Hooks observe an [Issuer], for telemetry. Any hook may be nil. Hooks run
// synchronously, must return at once, and must be safe for concurrent use. No
// hook gets a name, a value or an account.
//
// If a hook panics, the Issuer logs that with slog.Default, and goes on as if
// the hook were nil. No token is lost.
type Hooks struct {
	// Operation is called when an operation begins, and the function that it
	// returns when the operation has ended. The hook may return a context that
	// is derived from ctx. The Store gets a context derived from it. The hook
	// may return a nil function if it does not need the result.
	Operation func(ctx context.Context, op Operation) (context.Context, func(OperationResult))

	// Poisoned is called when a value of the Store is not one that a process
	// with the same key sealed under the same name for so long a life. The
	// value is not used.
	Poisoned func(ctx context.Context)
}

// An Operation is a use of the [Store].
type Operation string

// The operations.
const (
	// OpKey: the Issuer reads its key. The Store is not asked. Only failures
	// are reported.
	OpKey Operation = "key"
	// OpClaim is a call of Store.Claim.
	OpClaim Operation = "claim"
	// OpPublish is a call of Store.Publish.
	OpPublish Operation = "publish"
	// OpTake is a call of Store.Take.
	OpTake Operation = "take"
)

// An Outcome is what came of an operation.
type Outcome string

// The outcomes.
const (
	// OutcomeFound: a claim found a value.
	OutcomeFound Outcome = "found"
	// OutcomeLeased: a claim found no value, and got the lease.
	OutcomeLeased Outcome = "leased"
	// OutcomeNone: a claim found no value, and got no lease. Either another
	// process holds it, or the claim did not ask for it.
	OutcomeNone Outcome = "none"
	// OutcomeStored: the Store took a new value.
	OutcomeStored Outcome = "stored"
	// OutcomeKept: the Store kept the value that another process had published
	// before.
	OutcomeKept Outcome = "kept"
	// OutcomeReleased: a lease has ended without a new value.
	OutcomeReleased Outcome = "released"
	// OutcomeTaken: the budget had one left.
	OutcomeTaken Outcome = "taken"
	// OutcomeEmpty: the budget was empty.
	OutcomeEmpty Outcome = "empty"
	// OutcomeFailed: the operation failed.
	OutcomeFailed Outcome = "failed"
	// OutcomeSkipped: the Store failed several times in a row, so it was not
	// asked.
	OutcomeSkipped Outcome = "skipped"
	// OutcomeCanceled: the issuance ended before the Store answered.
	OutcomeCanceled Outcome = "canceled"
)

// OperationResult is the result of an operation.
type OperationResult struct {
	Outcome Outcome
	// Err is the reason for OutcomeFailed, OutcomeSkipped and OutcomeCanceled.
	// Otherwise it is nil. Its text is safe to log: it has a part of the text of
	// the Store's error only if [tokensource.SafeError] made that part. It wraps
	// the Store's error.
	Err error
}

// JoinHooks returns hooks that call the hooks of a and then those of b, as
// [tokensource.JoinHooks] does.
func JoinHooks(a, b Hooks) Hooks {
	poisoned := a.Poisoned
	switch {
	case poisoned == nil:
		poisoned = b.Poisoned
	case b.Poisoned != nil:
		poisoned = func(ctx context.Context) {
			a.Poisoned(ctx)
			b.Poisoned(ctx)
		}
	}
	return Hooks{Operation: hooks.Join(a.Operation, b.Operation), Poisoned: poisoned}
}

// operation begins an operation. The returned function ends it.
func (i *Issuer) operation(ctx context.Context, op Operation) (context.Context, func(Outcome, error)) {
	var done func(OperationResult)
	if hook := i.config.Hooks.Operation; hook != nil {
		guard(func() {
			derived, end := hook(ctx, op)
			if done = end; derived != nil {
				ctx = derived
			}
		})
	}
	return ctx, func(outcome Outcome, err error) {
		i.tally.count(outcome, err)
		if done != nil {
			guard(func() { done(OperationResult{Outcome: outcome, Err: err}) })
		}
	}
}

// poisoned counts a value that is not used.
func (i *Issuer) poisoned(ctx context.Context) {
	i.tally.poisoned.Add(1)
	if hook := i.config.Hooks.Poisoned; hook != nil {
		guard(func() { hook(ctx) })
	}
}

// guard calls a hook. A panic costs neither the token nor the process: a lease
// is prolonged on a goroutine whose panic nobody else would catch.
func guard(hook func()) {
	defer func() {
		if recover() != nil {
			//nolint:forbidigo // A panic must not be silent, and no caller gets it.
			slog.Error("pismoauth: a hook of fleet.Hooks panicked, but no token is affected")
		}
	}()
	hook()
}

// claimed returns the outcome of a claim.
func claimed(c Claim) Outcome {
	switch {
	case c.Value != nil:
		return OutcomeFound
	case c.Leased:
		return OutcomeLeased
	}
	return OutcomeNone
}

// published returns the outcome of a publication.
func published(stored bool) Outcome {
	if stored {
		return OutcomeStored
	}
	return OutcomeKept
}

// released returns the outcome of a publication without a value.
func released(bool) Outcome { return OutcomeReleased }

// taken returns the outcome of a call of Take.
func taken(wait time.Duration) Outcome {
	if wait > 0 {
		return OutcomeEmpty
	}
	return OutcomeTaken
}
