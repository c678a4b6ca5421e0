package tokensource

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// An Error says why a Source has no token. Every error that a [Source] returns
// is one; find it with errors.As, or ask for its kind with errors.Is.
//
// Its text says what failed and what to do. It is made of constants, numbers,
// and causes that are safe to print because of how they are made, see [Explain]:
// no response body, no URL and no account, because error texts end in span
// statuses, access logs and error pages. Any other cause is not part of the
// text. errors.Unwrap, errors.As and errors.Is find it; log it with care.
//
// An Error is immutable once returned: callers who wait for the same issuance
// get the same one.
type Error struct {
	// Kind is why. It is never empty.
	Kind ErrorKind
	// StatusCode is that of the token endpoint's answer; 0 if there was none.
	StatusCode int
	// RetryAfter is how long asking again is pointless: until then the Source
	// answers with this error, and leaves the network alone. 0 if unknown.
	RetryAfter time.Duration
	// Suppressed says that nothing was tried: issuances failed a moment ago,
	// for the reason that Kind and StatusCode tell.
	Suppressed bool
	// CorrelationID is the x-cid of the token endpoint's answer, for a ticket
	// with Pismo's support. Empty if there was none.
	CorrelationID string

	issuance uint64 // the number of the one that failed; 0 if none did

	// Behind a pointer, because fmt prints an error in an unexported field as
	// the struct it is, if the verb is wrong for one.
	cause *error
}

// NewError returns an Error of the given kind. The cause may be nil. It is meant
// for implementations of [Issuer]. A cause that [Explain] made, and a
// [*ConfigError], become part of the text.
func NewError(kind ErrorKind, cause error) *Error {
	if cause == nil {
		return &Error{Kind: kind}
	}
	return &Error{Kind: kind, cause: &cause}
}

// Error returns the meaning of the kind, the explanation of the cause if it has
// one, and the numbers of the Error.
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

// Permanent reports whether asking again is pointless until somebody changes the
// configuration, the credentials, the account or the program.
func (e *Error) Permanent() bool { return e.Kind.isPermanent() }

// Timeout reports whether the error is a timeout, as net.Error has it.
func (e *Error) Timeout() bool { return e.Kind == ErrTimeout }

// ErrorType returns the kind. OpenTelemetry's instrumentation of net/http uses
// it as error.type, without any import on either side.
func (e *Error) ErrorType() string { return string(e.Kind) }

// withRetryAfter returns a copy of e that says when asking again makes sense.
func (e *Error) withRetryAfter(wait time.Duration) *Error {
	later := *e
	later.RetryAfter = max(wait, 0)
	return &later
}

// withIssuance returns a copy of e that knows which issuance has failed.
func (e *Error) withIssuance(issuance uint64) *Error {
	known := *e
	known.issuance = issuance
	return &known
}

// suppressed returns a copy of e for those who are not allowed to try again
// before wait has passed.
func (e *Error) suppressed(wait time.Duration) *Error {
	later := e.withRetryAfter(wait)
	later.Suppressed = true
	return later
}

// suppressedBy returns the number of the issuance whose failure is why nothing
// was tried, if err says so, and else 0.
func suppressedBy(err error) uint64 {
	if e, ok := errors.AsType[*Error](err); ok && e.Suppressed {
		return e.issuance
	}
	return 0
}

// asError returns the error of an issuer as an *Error. One without a kind is the
// endpoint being unavailable, or the time limit.
func asError(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && e == nil: // Typed, and so an error all the same.
		return NewError(ErrUnavailable, nil)
	case ok:
		issued := *e
		if issued.Kind == "" || issued.Kind == ErrCanceled { // No caller was asked.
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

// IsPermanent reports whether asking again is pointless until somebody changes
// something: whether err, or an error that it wraps, has a method Permanent that
// says so, as the errors of this module's packages have. It is false for errors
// of the network and of the platform, of which this module knows nothing. It
// does not say whether a request may be sent twice.
func IsPermanent(err error) bool {
	var e interface{ Permanent() bool }
	return errors.As(err, &e) && e.Permanent()
}

// RetryAfter returns how long to wait before asking again, if err is or wraps an
// [*Error] that knows it. The network is left alone until then: whoever asks
// earlier gets the same error. It is false if asking again is pointless, see
// [IsPermanent], or if err does not say.
func RetryAfter(err error) (time.Duration, bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil || e.Permanent() || e.RetryAfter <= 0 {
		return 0, false
	}
	return e.RetryAfter, true
}
