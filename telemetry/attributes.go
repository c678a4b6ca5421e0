package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// The spans.
const (
	spanIssue   = "pismo.token.issue"
	spanAcquire = "pismo.token.acquire"
	spanRenew   = "pismo.token.renew"
)

// The attributes that are not OpenTelemetry's own.
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
)

// other stands for a value that is none of the known ones. It is what
// OpenTelemetry calls error.type in that case. What an issuer or a Classify function of
// the user's makes up must not become series.
const other = "_OTHER"

// The known values. Anything else is reported as [other].
var (
	// kinds are those an issuance can fail with, and so a caller who waits for
	// it. ErrCanceled is not among them: a caller who leaves is no error.
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
	// renewalKinds are those a renewal can fail with as well, before there is
	// an issuance. Spans show them; no metric counts renewals.
	renewalKinds = []tokensource.ErrorKind{tokensource.ErrRenewalLimited}

	reasons = []tokensource.IssueReason{
		tokensource.ReasonCold,
		tokensource.ReasonExpired,
		tokensource.ReasonRejected,
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
	// outcomes are what can follow from a token that was refused. Any other
	// 401 passes.
	outcomes = []transport.RefusedOutcome{
		transport.OutcomeReplayed,
		transport.OutcomeNotReplayable,
		transport.OutcomeNotRenewed,
		outcomeRefusedAgain,
	}
)

// outcomeRefusedAgain is the outcome of a 401 to a replay: the new token was
// refused as well.
const outcomeRefusedAgain = transport.RefusedOutcome("refused_again")

// known returns value as an attribute, or [other] if it is not among the known
// ones.
func known[T ~string](key attribute.Key, value T, all []T) attribute.KeyValue {
	if !slices.Contains(all, value) {
		return key.String(other)
	}
	return key.String(string(value))
}

func reason(r tokensource.IssueReason) attribute.KeyValue { return known(keyReason, r, reasons) }

func origin(o tokensource.TokenOrigin) attribute.KeyValue { return known(keyOrigin, o, origins) }

func verdict(v transport.Verdict) attribute.KeyValue { return known(keyVerdict, v, verdicts) }

// outcome returns what follows from a 401 as an attribute.
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
	return key.Int64(int64(n)) //nolint:gosec // A Source will not issue 2^63 tokens.
}

// sourceError returns err as the error of a Source, or nil if it is none. A
// Source returns no other type, and does not wrap it. Looking further would
// call methods of errors that nobody knows.
func sourceError(err error) *tokensource.Error {
	e, _ := err.(*tokensource.Error) //nolint:errorlint // See above.
	return e
}

// errorType returns the value of error.type for an error, and whether there is
// one.
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

// withErrorType returns the attributes of a metric with error.type, if there is
// an error.
func withErrorType(err error, attributes ...attribute.KeyValue) []attribute.KeyValue {
	if kind, failed := errorType(err); failed {
		return append(attributes, known(semconv.ErrorTypeKey, tokensource.ErrorKind(kind), kinds))
	}
	return attributes
}

// fail gives a span the status of an error, if there is one. The description is
// a constant sentence: nothing that an endpoint answered is in it.
func fail(span trace.Span, err error) {
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
