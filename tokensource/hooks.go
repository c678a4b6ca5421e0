// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"time"
)

// Hooks observe a [Source], for telemetry. Any hook may be nil. Hooks run
// synchronously: Acquire and Renew run on the calling goroutine, Issue runs on
// a goroutine of the issuance. Hooks must not call the Source.
//
// A hook may return a context that is derived from its argument. The Source
// uses the returned context for the operation. A hook may return a nil function
// if it does not need the result.
//
// The Source waits for Issue, and for the function that it returns, at most a
// second. If Issue panics, the issuance fails with [ErrIssuerPanic]. If its
// function panics, the Source logs that with slog.Default, and hands out the
// token.
//
// No hook gets a secret or a token. An [Account] prints as its kind.
type Hooks struct {
	// Acquire is called once for each call of Token with a valid account, except
	// from the Source's own issuer, as soon as the origin of the token is known.
	// For [OriginCached], by far the most frequent origin, the function that it
	// returns is called at once.
	Acquire func(ctx context.Context, info AcquireInfo) (context.Context, func(AcquireResult))

	// Issue is called when an issuance begins. The context issue is that of
	// the issuance, which has none of the caller's values. The context
	// caller is that of the caller that started the issuance. When Acquire
	// or Renew is called with the number of an issuance, Issue has returned
	// for it, or the caller's context is done.
	Issue func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult))

	// Renew is called once for each call of [Source.Renew] with a token of the
	// Source. BeginRenewal and RenewInBackground do not call it.
	Renew func(ctx context.Context, info RenewInfo) (context.Context, func(RenewResult))
}

// A TokenOrigin is the origin of a caller's token.
type TokenOrigin string

// The origins of a token.
const (
	// OriginCached: the Source had a fresh token.
	OriginCached TokenOrigin = "cached"
	// OriginStale: the Source had a token that is due for renewal in the
	// background.
	OriginStale TokenOrigin = "stale"
	// OriginIssued: the caller started an issuance and waited for it.
	OriginIssued TokenOrigin = "issued"
	// OriginJoined: the caller waited for an issuance that another caller
	// started.
	OriginJoined TokenOrigin = "joined"
	// OriginSuppressed: no issuance began, for example because of a cooldown. The
	// caller got the error at once.
	OriginSuppressed TokenOrigin = "suppressed"
)

// An IssueReason is the reason for an issuance.
type IssueReason string

// The reasons for an issuance.
const (
	// ReasonCold: the Source had no token of the account, or Invalidate had
	// dropped it.
	ReasonCold IssueReason = "cold"
	// ReasonExpired: the account's token had expired, or was so close to its
	// expiry that it was unusable.
	ReasonExpired IssueReason = "expired"
	// ReasonRefused: the platform had refused the account's token.
	ReasonRefused IssueReason = "refused"
	// ReasonAhead: the account's token will expire soon. No caller waits.
	ReasonAhead IssueReason = "ahead"
	// ReasonSuspected: the platform may have refused the account's token,
	// see [Source.RenewInBackground]. No caller waits.
	ReasonSuspected IssueReason = "suspected"
)

// AcquireInfo describes a call of Token.
type AcquireInfo struct {
	Account Account
	Origin  TokenOrigin
	// Issuance is the number of an issuance. For [OriginIssued] and
	// [OriginJoined], the caller waits for it. For [OriginSuppressed] it is the
	// issuance whose failure the caller gets, if there is one. Otherwise it is 0.
	Issuance uint64
	// Repeated means that the request is a repeated one, not the token. The
	// request has had a token of this Source and account before: its context
	// carries that token, see [ContextWithForwardedToken]. This happens to a
	// transport below a middleware, and to a retry. Do not count such a call as
	// another request.
	Repeated bool
}

// AcquireResult is the result of a call of Token.
type AcquireResult struct {
	// Serial is the serial number of the token, or 0 if there is none.
	Serial uint64
	// Err is the error that the caller gets, or nil.
	Err error
}

// IssueInfo describes an issuance.
type IssueInfo struct {
	Account Account
	// Issuance is the number of this issuance in its Source, from 1.
	Issuance uint64
	Reason   IssueReason
}

// IssueResult is the result of an issuance.
type IssueResult struct {
	// Serial is the serial number of the token, or 0 if there is none.
	Serial uint64
	// Lifetime is the lifetime of the token.
	Lifetime time.Duration
	// Adopted means that another process had issued the token, see package
	// fleet.
	Adopted bool
	// Attempts is the number of calls of the issuer: 0, 1 or 2.
	Attempts int
	// Err is the reason why there is no token, as the Source interprets it. If the
	// Source concludes from rejected accounts that the credentials are rejected,
	// the kind is [ErrCredentialsRejected]. [RetryAfter] returns the time until an
	// issuance may begin for the account.
	Err error
}

// RenewInfo describes a call of Renew.
type RenewInfo struct {
	Account Account
	// RefusedSerial is the serial number of the refused token.
	RefusedSerial uint64
	Outcome       RenewOutcome
	// Issuance identifies the issuance being waited for. For
	// [RenewSuppressed] it is the failed issuance. It is 0 if there is
	// none, for example if the budget is spent.
	Issuance uint64
}

// A RenewOutcome is the consequence of a call of Renew.
type RenewOutcome string

// The outcomes of Renew.
const (
	// RenewSuperseded: the refused token was no longer the current token.
	// No issuance begins.
	RenewSuperseded RenewOutcome = "superseded"
	// RenewIssued: a new token is being issued.
	RenewIssued RenewOutcome = "issued"
	// RenewJoined: an issuance was already running for the account.
	RenewJoined RenewOutcome = "joined"
	// RenewSuppressed: no issuance begins, for example because the budget
	// is spent, or because the account or the Source is in cooldown.
	RenewSuppressed RenewOutcome = "suppressed"
)

// RenewResult is the result of a call of Renew.
type RenewResult struct {
	// Serial is the serial number of the returned token, or 0 if there is none.
	Serial uint64
	// Err is the error that the caller gets, or nil.
	Err error
}
