// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// Hooks observe a [Transport], for telemetry. Any hook may be nil. An ordinary
// request calls no hook.
//
// A hook runs on a goroutine of its own while the request waits for it. If a
// hook panics, or does not return within a second or by the deadline of the
// request, the request continues without it.
type Hooks struct {
	// Refused is called for each 401 when its verdict is known.
	// Refused must return a context that is derived from its argument. The
	// renewal uses that context. Refused may return a nil function.
	// Otherwise the function is called when the outcome is known, before a
	// replay.
	Refused func(ctx context.Context, info RefusedInfo) (context.Context, func(RefusedResult))

	// Retry is called before a request is sent again after a failure, and
	// before the wait.
	Retry func(ctx context.Context, info RetryInfo)
}

// RefusedInfo describes a 401.
type RefusedInfo struct {
	Account tokensource.Account
	// Serial is the serial number of the token that was sent.
	Serial  uint64
	Verdict Verdict
	// Replayed means that the request had already been replayed.
	Replayed bool
}

// RefusedResult is the result of a 401.
type RefusedResult struct {
	Outcome RefusedOutcome
	// Serial is the serial number of the new token, or 0 if there is none.
	Serial uint64
	// Err is the reason why the renewal brought no token, or nil.
	Err error
}

// A RefusedOutcome is the outcome of a 401.
type RefusedOutcome string

// The outcomes of a 401.
const (
	// OutcomeReplayed: the request is sent again with another token.
	OutcomeReplayed RefusedOutcome = "replayed"
	// OutcomeNotReplayable: the token was refused, but the request's body cannot
	// be sent again, or the request has already been replayed (itself, or another
	// attempt of its [RetryGroup]). The caller gets the 401. In the first case a
	// renewal begins in the background, unless a cooldown or the budget prevents
	// it.
	OutcomeNotReplayable RefusedOutcome = "not_replayable"
	// OutcomeNotRenewed: the renewal brought no token. The caller gets the
	// 401.
	OutcomeNotRenewed RefusedOutcome = "not_renewed"
	// OutcomePassed: the verdict is not [TokenRefused]. The caller gets the 401.
	OutcomePassed RefusedOutcome = "passed"
)

// RetryInfo describes a retry.
type RetryInfo struct {
	// Attempt is the number of the attempt that follows. For the first retry it is
	// 2.
	Attempt int
	// Wait is the time until the next attempt.
	Wait time.Duration
	// StatusCode is the status of the response that is retried, or 0. Err
	// is the error that is retried, or nil.
	StatusCode int
	Err        error
}
