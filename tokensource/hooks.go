package tokensource

import (
	"context"
	"time"
)

// Hooks are called at what happens in a [Source]; any may be nil. They are meant
// for telemetry. They run synchronously and must not call the Source: Acquire and
// Renew on the calling goroutine, Issue on one of the issuance.
//
// A hook that returns a context has it used for what it announces; that context
// must be derived from the one it was given. A hook may return a nil function
// if it does not want to know how the thing ended, and then costs nothing.
//
// Issue, and the function it returns, are waited for at most a second. If Issue
// panics, the issuance fails with [ErrIssuerPanic]; if its function does, that is
// logged with slog.Default, and the token is handed out.
//
// No hook is given a secret or a token. An [Account] prints as its kind.
type Hooks struct {
	// Acquire is called once for each call of Token with a usable account, as
	// soon as it is known where the token will come from. For [OriginCached],
	// by far the most frequent, the function it returns is called at once.
	Acquire func(ctx context.Context, info AcquireInfo) (context.Context, func(AcquireResult))

	// Issue is called when an issuance begins. The context issue is that of
	// the issuance, which has none of the caller's values; caller is that of
	// whoever caused it. It is called before anyone learns of the issuance:
	// when Acquire or Renew name an issuance by its number, Issue has
	// returned for it.
	Issue func(issue, caller context.Context, info IssueInfo) (context.Context, func(IssueResult))

	// Renew is called once for each call of Renew with a usable token.
	Renew func(ctx context.Context, info RenewInfo) (context.Context, func(RenewResult))
}

// A TokenOrigin says where a caller's token came from.
type TokenOrigin string

// The origins of a token.
const (
	// OriginCached: it was there and fresh.
	OriginCached TokenOrigin = "cached"
	// OriginStale: it was there, and is being renewed in the background.
	OriginStale TokenOrigin = "stale"
	// OriginIssued: the caller started an issuance and waited for it.
	OriginIssued TokenOrigin = "issued"
	// OriginJoined: the caller waited for the issuance that another started.
	OriginJoined TokenOrigin = "joined"
	// OriginSuppressed: issuances failed a moment ago; the caller got the
	// cause at once.
	OriginSuppressed TokenOrigin = "suppressed"
)

// An IssueReason says why a token is issued.
type IssueReason string

// The reasons for an issuance.
const (
	// ReasonCold: there was none.
	ReasonCold IssueReason = "cold"
	// ReasonExpired: the one there was had expired.
	ReasonExpired IssueReason = "expired"
	// ReasonRejected: the one there was had been refused.
	ReasonRejected IssueReason = "rejected"
	// ReasonAhead: the one there was will expire soon; nobody waits.
	ReasonAhead IssueReason = "ahead"
	// ReasonSuspected: the one there was may have been refused, see
	// [Source.RenewInBackground]; nobody waits.
	ReasonSuspected IssueReason = "suspected"
)

// AcquireInfo describes a call of Token.
type AcquireInfo struct {
	Account Account
	Origin  TokenOrigin
	// Issuance identifies the issuance being waited for. For
	// [OriginSuppressed] it is the failed one; otherwise 0.
	Issuance uint64
	// Repeated says that the same request has had a token of this Source and
	// account before: the context carries it, see [ContextWithToken]. A
	// transport beneath a middleware asks so, and so does a retry. Whoever
	// counts requests leaves these out.
	Repeated bool
}

// AcquireResult says how a call of Token ended.
type AcquireResult struct {
	// Serial is that of the token; 0 if there is none.
	Serial uint64
	// Err is what the caller gets; nil if it gets a token.
	Err error
}

// IssueInfo describes an issuance.
type IssueInfo struct {
	Account Account
	// Issuance is the number of this issuance in its Source, from 1.
	Issuance uint64
	Reason   IssueReason
}

// IssueResult says how an issuance ended.
type IssueResult struct {
	// Serial is that of the token; 0 if there is none.
	Serial uint64
	// Lifetime is that of the token.
	Lifetime time.Duration
	// Attempts is how often the issuer was asked: 0, 1 or 2.
	Attempts int
	// Err is why there is no token, as the Source understands it: when it has
	// concluded from rejected accounts that the credentials are rejected, the
	// kind says so. Its RetryAfter is how long no issuance will begin for the
	// account, or for any.
	Err error
}

// RenewInfo describes a call of Renew.
type RenewInfo struct {
	Account Account
	// Serial is that of the refused token.
	Serial  uint64
	Outcome RenewOutcome
	// Issuance is the number of the issuance that is waited for or, with
	// [RenewSuppressed], of the one whose failure is told; 0 if neither, as
	// when the budget is spent.
	Issuance uint64
}

// A RenewOutcome says what a call of Renew led to.
type RenewOutcome string

// The outcomes of Renew.
const (
	// RenewSuperseded: the refused token was not the current one any more;
	// nothing is issued.
	RenewSuperseded RenewOutcome = "superseded"
	// RenewIssued: a new token is being issued.
	RenewIssued RenewOutcome = "issued"
	// RenewJoined: one was being issued already.
	RenewJoined RenewOutcome = "joined"
	// RenewSuppressed: the budget is spent, or the account or the Source is
	// in cooldown.
	RenewSuppressed RenewOutcome = "suppressed"
)

// RenewResult says how a call of Renew ended.
type RenewResult struct {
	// Serial is that of the new token; 0 if there is none.
	Serial uint64
	// Err is what the caller gets; nil if it gets a token.
	Err error
}
