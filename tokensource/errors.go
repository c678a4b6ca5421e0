// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// An Error says why a [Source] has no token. Every error of [Source.Token] and
// [Source.Renew] is an Error. Find it with errors.As, or test for its kind with
// errors.Is.
//
// Its text says what failed and what to do. The text consists of constants,
// numbers, and causes that are safe to print, see [SafeError]. It holds no
// response body, no URL and no account, because error texts appear in spans,
// access logs and error pages. The text omits any other cause. errors.Unwrap,
// errors.As and errors.Is find such a cause. Log it with care.
//
// An Error is immutable. Callers that wait for the same issuance get the same
// Error.
type Error struct {
	// Kind is the reason. It is never empty.
	Kind ErrorKind
	// StatusCode is the status of the token endpoint's response, or 0 if
	// there was none.
	StatusCode int
	// RetryAfter is the time during which a retry is pointless: the Source
	// returns this error without sending a request. 0 means unknown.
	RetryAfter time.Duration
	// Suppressed means that a cooldown or the open breaker prevented a request.
	// Kind and StatusCode describe the failure behind it. Other errors may also
	// have sent no request, such as ErrRenewalLimited. [OriginSuppressed] and
	// [RenewSuppressed] include those.
	Suppressed bool
	// CorrelationID is the x-cid of the token endpoint's response, for a
	// ticket with Pismo's support. It is empty if there was none.
	CorrelationID string

	issuance uint64 // the number of the failed issuance, or 0

	// The cause is behind a pointer. With a wrong verb, fmt would print an
	// error in an unexported field as a struct.
	cause *error
}

// NewError returns an Error of the given kind. The cause may be nil. NewError
// is for implementations of [Issuer]. The text includes the cause if it is a
// [*ConfigError] or an error that [SafeError] made.
func NewError(kind ErrorKind, cause error) *Error {
	if cause == nil {
		return &Error{Kind: kind}
	}
	return &Error{Kind: kind, cause: &cause}
}

// Error returns the meaning of the kind, the explanation of the cause if there
// is one, StatusCode, and RetryAfter.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error())
	if e.cause != nil {
		for _, text := range explanationsOf(*e.cause) {
			b.WriteString(": ")
			b.WriteString(text)
		}
	}
	var numbers []string
	if e.StatusCode != 0 {
		numbers = append(numbers, "status "+strconv.Itoa(e.StatusCode))
	}
	if e.RetryAfter > 0 && !e.Kind.isPermanent() {
		numbers = append(numbers, "retry after "+e.RetryAfter.Round(time.Millisecond).String())
	}
	if len(numbers) > 0 {
		b.WriteString(" (" + strings.Join(numbers, ", ") + ")")
	}
	return b.String()
}

// Is reports whether target is the kind of e.
func (e *Error) Is(target error) bool {
	kind, ok := target.(ErrorKind)
	return ok && kind == e.Kind
}

// Unwrap returns the cause, or nil if there is none.
func (e *Error) Unwrap() error {
	if e.cause == nil {
		return nil
	}
	return *e.cause
}

// Permanent reports whether a retry is pointless until a person changes the
// configuration, the credentials, the account or the program.
func (e *Error) Permanent() bool { return e.Kind.isPermanent() }

// Timeout reports whether the error is a timeout, as in [net.Error].
func (e *Error) Timeout() bool { return e.Kind == ErrTimeout }

// ErrorType returns the kind. OpenTelemetry's instrumentation of net/http uses
// it as error.type, without an import on either side.
func (e *Error) ErrorType() string { return string(e.Kind) }

// withRetryAfter returns a copy of e with the time until a retry makes sense.
func (e *Error) withRetryAfter(wait time.Duration) *Error {
	later := *e
	later.RetryAfter = max(wait, 0)
	return &later
}

// withIssuance returns a copy of e with the number of the failed issuance.
func (e *Error) withIssuance(issuance uint64) *Error {
	known := *e
	known.issuance = issuance
	return &known
}

// suppressed returns a copy of e for a caller that may not try again before
// wait has passed.
func (e *Error) suppressed(wait time.Duration) *Error {
	later := e.withRetryAfter(wait)
	later.Suppressed = true
	return later
}

// suppressedBy returns the number of the failed issuance if err is suppressed,
// and 0 otherwise.
func suppressedBy(err error) uint64 {
	if e, ok := errors.AsType[*Error](err); ok && e.Suppressed {
		return e.issuance
	}
	return 0
}

// asError returns the error of an issuer as an *Error. An error of another type
// means a timeout if it wraps context.DeadlineExceeded. Otherwise it means that
// the endpoint is unavailable.
func asError(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && e == nil: // A nil pointer in a non-nil error.
		return NewError(ErrUnavailable, nil)
	case ok:
		issued := *e
		if issued.Kind == "" || issued.Kind == ErrCanceled { // An issuer has no caller.
			issued.Kind = ErrUnavailable
		}
		if e.cause != nil {
			issued.cause = NewError(e.Kind, notCanceled(*e.cause)).cause
		}
		return &issued
	case errors.Is(err, context.DeadlineExceeded):
		return NewError(ErrTimeout, err)
	default:
		return NewError(ErrUnavailable, notCanceled(err))
	}
}

// callerError returns the error of a caller whose context is done.
func callerError(ctx context.Context) *Error {
	kind := ErrCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = ErrTimeout
	}
	return NewError(kind, errors.Join(ctx.Err(), context.Cause(ctx)))
}

// IsPermanent reports whether a retry is pointless until a person changes
// something. It calls the method Permanent of err, or of an error that err
// wraps. The errors of this module's packages have that method. IsPermanent
// returns false for errors of the network, and for a token endpoint that is
// unavailable, slow or limits the rate. It does not say whether a request may
// be sent twice.
func IsPermanent(err error) bool {
	var e interface{ Permanent() bool }
	return errors.As(err, &e) && e.Permanent()
}

// RetryAfter returns how long to wait before a retry, if err is or wraps an
// [*Error] with that time. Until then the Source returns the same error without
// sending a request. RetryAfter returns false if a retry is pointless, see
// [IsPermanent], or if the time is unknown.
func RetryAfter(err error) (time.Duration, bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil || e.Permanent() || e.RetryAfter <= 0 {
		return 0, false
	}
	return e.RetryAfter, true
}
