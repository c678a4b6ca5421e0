package transport

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// Hooks are called at what happens in a [Transport]; any may be nil. They are
// meant for telemetry. An ordinary request calls none.
//
// A hook runs on a goroutine of its own while the request waits for it. A
// request goes on without a hook that panics, or that has not returned after a
// second or by the deadline of the request.
type Hooks struct {
	// Refused is called for each 401, when its verdict is known and, if it is
	// [TokenRefused], its body has been read and closed. The context it
	// returns, which must be derived from the one it is given, is that of the
	// renewal. The function it returns, which may be nil, is called when it is
	// known what follows, before the request is replayed.
	Refused func(ctx context.Context, info RefusedInfo) (context.Context, func(RefusedResult))

	// Retry is called before a request is sent again after a failure, and
	// before the wait for it.
	Retry func(ctx context.Context, info RetryInfo)
}

// RefusedInfo describes a 401.
type RefusedInfo struct {
	Account tokensource.Account
	// Serial is that of the token that was sent.
	Serial  uint64
	Verdict Verdict
	// Replayed says that the request had been replayed already.
	Replayed bool
}

// RefusedResult says what follows from a 401.
type RefusedResult struct {
	Outcome RefusedOutcome
	// Serial is that of the new token, if there is one.
	Serial uint64
	// Err is why there is no new token, if one was asked for.
	Err error
}

// A RefusedOutcome says what follows from a 401.
type RefusedOutcome string

// The outcomes of a 401.
const (
	// OutcomeReplayed: the request is sent once more, with another token.
	OutcomeReplayed RefusedOutcome = "replayed"
	// OutcomeNotReplayable: there is another token, but the request's body
	// cannot be sent again, or the request has been replayed already. The
	// caller gets the 401.
	OutcomeNotReplayable RefusedOutcome = "not_replayable"
	// OutcomeNotRenewed: there is no other token. The caller gets the 401.
	OutcomeNotRenewed RefusedOutcome = "not_renewed"
	// OutcomePassed: the 401 is an answer. The caller gets it.
	OutcomePassed RefusedOutcome = "passed"
)

// RetryInfo describes a retry.
type RetryInfo struct {
	// Attempt is the number of the attempt to come; the first retry is 2.
	Attempt int
	// Wait is how long it is until then.
	Wait time.Duration
	// StatusCode is that of the answer that is retried, Err the error.
	StatusCode int
	Err        error
}
