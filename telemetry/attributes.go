// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"maps"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/transport"
)

// The spans.
const (
	spanIssue   = "pismo.token.issue"
	spanAcquire = "pismo.token.acquire"
	spanRenew   = "pismo.token.renew"
	spanStore   = "pismo.store." // with the operation
)

// The attributes of this package. OpenTelemetry defines the others.
const (
	keyScope         = attribute.Key("pismo.token.scope")
	keySerial        = attribute.Key("pismo.token.serial")
	keyReason        = attribute.Key("pismo.token.issue.reason")
	keyAttempts      = attribute.Key("pismo.token.issue.attempts")
	keyOrigin        = attribute.Key("pismo.token.acquire.origin")
	keyRefusedSerial = attribute.Key("pismo.token.rejection.serial")
	keyVerdict       = attribute.Key("pismo.token.rejection.verdict")
	keyOutcome       = attribute.Key("pismo.token.rejection.outcome")
	keyExtent        = attribute.Key("pismo.token.cooldown.extent")
	keyCorrelationID = attribute.Key("pismo.correlation_id")
	keyAdopted       = attribute.Key("pismo.token.issue.adopted")
	keyOperation     = attribute.Key("pismo.store.operation")
	keyStoreOutcome  = attribute.Key("pismo.store.outcome")
)

// other replaces a value that is not known. OpenTelemetry uses it so for
// error.type. A value that an issuer or a Classify function invents must not
// make a series.
const other = "_OTHER"

// The known values. [other] replaces every other value.
var (
	// kinds are the kinds of the errors of issuances, and of callers who wait
	// for them. ErrCanceled is not a failure: the caller has left.
	kinds = []tokensource.ErrorKind{
		tokensource.ErrCredentialsRejected,
		tokensource.ErrAccountRejected,
		tokensource.ErrAccountMismatch,
		tokensource.ErrRateLimited,
		tokensource.ErrUnavailable,
		tokensource.ErrTimeout,
		tokensource.ErrMalformedResponse,
		tokensource.ErrOverloaded,
		tokensource.ErrIssuerPanic,
		tokensource.ErrMisconfigured,
	}
	// renewalKinds are further kinds of the errors of renewals. They occur
	// before an issuance begins. Spans show them; no metric counts renewals.
	renewalKinds = []tokensource.ErrorKind{tokensource.ErrRenewalLimited}

	reasons = []tokensource.IssueReason{
		tokensource.ReasonCold,
		tokensource.ReasonExpired,
		tokensource.ReasonRefused,
		tokensource.ReasonAhead,
		tokensource.ReasonSuspected,
	}
	origins = []tokensource.TokenOrigin{
		tokensource.OriginCached,
		tokensource.OriginStale,
		tokensource.OriginIssued,
		tokensource.OriginJoined,
		tokensource.OriginSuppressed,
	}
	verdicts = []transport.Verdict{
		transport.TokenRefused,
		transport.AccountRefused,
		transport.RequestRefused,
		transport.Unrecognized,
	}
	// outcomes are the outcomes of a 401 that refuses the token. Every other
	// 401 is passed to the caller.
	outcomes = []transport.RefusedOutcome{
		transport.OutcomeReplayed,
		transport.OutcomeNotReplayable,
		transport.OutcomeNotRenewed,
		outcomeRefusedAgain,
	}

	// outcomesOf are the outcomes that each operation of a store can have.
	outcomesOf = map[fleet.Operation][]fleet.Outcome{
		fleet.OpKey:     {fleet.OutcomeFailed},
		fleet.OpClaim:   {fleet.OutcomeFound, fleet.OutcomeLeased, fleet.OutcomeNone, fleet.OutcomeFailed, fleet.OutcomeSkipped, fleet.OutcomeCanceled},
		fleet.OpPublish: {fleet.OutcomeStored, fleet.OutcomeKept, fleet.OutcomeReleased, fleet.OutcomeFailed, fleet.OutcomeSkipped, fleet.OutcomeCanceled},
		fleet.OpTake:    {fleet.OutcomeTaken, fleet.OutcomeEmpty, fleet.OutcomeFailed, fleet.OutcomeSkipped, fleet.OutcomeCanceled},
	}
	operations    = slices.Collect(maps.Keys(outcomesOf))
	storeOutcomes = slices.Concat(slices.Collect(maps.Values(outcomesOf))...)
)

// outcomeRefusedAgain is the outcome of a 401 to a replay: the platform refused
// the new token too.
const outcomeRefusedAgain = transport.RefusedOutcome("refused_again")

// known returns value as an attribute, or [other] if all does not have it.
func known[T ~string](key attribute.Key, value T, all []T) attribute.KeyValue {
	if !slices.Contains(all, value) {
		return key.String(other)
	}
	return key.String(string(value))
}

func reason(r tokensource.IssueReason) attribute.KeyValue { return known(keyReason, r, reasons) }

func origin(o tokensource.TokenOrigin) attribute.KeyValue { return known(keyOrigin, o, origins) }

func operation(op fleet.Operation) attribute.KeyValue { return known(keyOperation, op, operations) }

func storeOutcome(o fleet.Outcome) attribute.KeyValue {
	return known(keyStoreOutcome, o, storeOutcomes)
}

func verdict(v transport.Verdict) attribute.KeyValue { return known(keyVerdict, v, verdicts) }

// outcome returns the outcome of a 401 as an attribute.
func outcome(info transport.RefusedInfo, result transport.RefusedResult) attribute.KeyValue {
	switch {
	case info.Verdict != transport.TokenRefused:
		return keyOutcome.String(string(transport.OutcomePassed))
	case info.Replayed:
		return keyOutcome.String(string(outcomeRefusedAgain))
	}
	return known(keyOutcome, result.Outcome, outcomes)
}

func scope(account tokensource.Account) attribute.KeyValue {
	return keyScope.String(string(account.Kind()))
}

func serial(key attribute.Key, n uint64) attribute.KeyValue {
	return key.Int64(int64(n)) //nolint:gosec // A Source does not issue 2^63 tokens.
}

// sourceError returns err as the error of a Source, or nil if it is of another
// type. A Source does not wrap its errors. errors.As would call methods of
// unknown errors, which may panic.
func sourceError(err error) *tokensource.Error {
	e, _ := err.(*tokensource.Error) //nolint:errorlint // See above.
	return e
}

// errorType returns the value of error.type for err. It returns false if err is
// no failure.
func errorType(err error) (kind string, failed bool) {
	if err == nil {
		return "", false
	}
	switch e := sourceError(err); {
	case e == nil:
		return other, true
	case e.Kind == tokensource.ErrCanceled:
		return "", false
	case slices.Contains(kinds, e.Kind), slices.Contains(renewalKinds, e.Kind):
		return string(e.Kind), true
	}
	return other, true
}

// withErrorType returns the attributes of a metric. They include error.type if
// err is a failure.
func withErrorType(err error, attributes ...attribute.KeyValue) []attribute.KeyValue {
	if kind, failed := errorType(err); failed {
		return append(attributes, known(semconv.ErrorTypeKey, tokensource.ErrorKind(kind), kinds))
	}
	return attributes
}

// setError sets the status of a span if err is a failure. The description is
// constant: it has nothing from an endpoint's answer.
func setError(span trace.Span, err error) {
	kind, failed := errorType(err)
	if !failed {
		return
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	description := ""
	if kind != other {
		description = tokensource.ErrorKind(kind).Error()
	}
	span.SetStatus(codes.Error, description)
}
