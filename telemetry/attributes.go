package telemetry

import (
	"errors"
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
	keyExtent        = attribute.Key("pismo.token.cooling.extent")
	keyCorrelationID = attribute.Key("pismo.correlation_id")
)

// other stands for a value that is none of those there are: what an issuer or a
// triage of the user's makes up must not become series. It is what OpenTelemetry
// calls error.type in that case.
const other = "_OTHER"

// kinds are the kinds of error that are told as such. Canceled is not among them:
// a caller who leaves is no error.
var kinds = []tokensource.Kind{
	tokensource.ErrCredentialsRejected,
	tokensource.ErrAccountRejected,
	tokensource.ErrAccountMismatch,
	tokensource.ErrRateLimited,
	tokensource.ErrUnavailable,
	tokensource.ErrTimeout,
	tokensource.ErrMalformedResponse,
	tokensource.ErrOverloaded,
	tokensource.ErrRenewalLimited,
	tokensource.ErrIssuerPanic,
	tokensource.ErrMisconfigured,
}

// outcomeRefusedAgain is the outcome of a 401 to a replay: the token that was got
// for it was refused as well.
const outcomeRefusedAgain = "refused_again"

// errorType returns what error.type says of an error, and whether it says
// anything.
func errorType(err error) (kind string, failed bool) {
	e, ok := errors.AsType[*tokensource.Error](err)
	switch {
	case err == nil || ok && e.Kind == tokensource.ErrCanceled:
		return "", false
	case ok && slices.Contains(kinds, e.Kind):
		return string(e.Kind), true
	}
	return other, true
}

// withErrorType returns attributes with error.type, if there is an error.
func withErrorType(err error, attributes ...attribute.KeyValue) []attribute.KeyValue {
	if kind, failed := errorType(err); failed {
		return append(attributes, semconv.ErrorTypeKey.String(kind))
	}
	return attributes
}

// fail gives a span the status of an error, if there is one. The description is
// a constant sentence: what an endpoint has said stays out of it.
func fail(span trace.Span, err error) {
	kind, failed := errorType(err)
	if !failed {
		return
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	description := ""
	if kind != other {
		description = tokensource.Kind(kind).Error()
	}
	span.SetStatus(codes.Error, description)
}

// verdict returns the verdict on a 401 as an attribute.
func verdict(v transport.Verdict) attribute.KeyValue {
	switch v {
	case transport.TokenRefused, transport.AccountRefused, transport.RequestRefused, transport.Unclear:
		return keyVerdict.String(string(v))
	}
	return keyVerdict.String(other)
}

// outcome returns what follows from a 401 as an attribute.
func outcome(info transport.RefusedInfo, result transport.RefusedResult) attribute.KeyValue {
	if info.Replayed && info.Verdict == transport.TokenRefused {
		return keyOutcome.String(outcomeRefusedAgain)
	}
	return keyOutcome.String(string(result.Outcome))
}

func scope(account tokensource.Account) attribute.KeyValue {
	return keyScope.String(string(account.Kind()))
}

func serial(key attribute.Key, n uint64) attribute.KeyValue {
	return key.Int64(int64(n)) //nolint:gosec // A Source will not issue 2^63 tokens.
}
