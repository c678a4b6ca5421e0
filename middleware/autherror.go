package middleware

import (
	"fmt"

	"github.com/pismoauth/pismoauth/tokensource"
)

// An AuthError is why a request is not let in.
type AuthError string

// The denials.
const (
	// ErrUnauthenticated: the request does not prove who sent it. The client
	// is told to authenticate, and can try again.
	ErrUnauthenticated AuthError = "unauthenticated"
	// ErrForbidden: the request names no account, or not one that its sender
	// may act for.
	ErrForbidden AuthError = "account_forbidden"
	// ErrVerifierUnavailable: what verifies the sender of a request cannot be
	// asked at the moment, such as a key server or a session store that is
	// down. It says nothing about the request. The client is answered 503 and
	// keeps its credentials; a 401 would log it out.
	ErrVerifierUnavailable AuthError = "verifier_unavailable"
	// ErrInvalidTarget: the target of the request is not a path, or it is a
	// path that another server may read as a different one: a segment of it is
	// "." or "..", in whichever encoding.
	ErrInvalidTarget AuthError = "invalid_target"
	// ErrMethodNotProxied: a proxy does not pass on TRACE, whose answer repeats
	// the request, our token included (RFC 9110, section 9.3.8), nor CONNECT,
	// which asks for a tunnel.
	ErrMethodNotProxied AuthError = "method_not_proxied"
	// ErrTooEarly: the request came in TLS early data, where anybody on the way
	// can send it again, and is not safe to execute twice (RFC 8470, section
	// 5.2). The client sends it again when its handshake is done. net/http
	// takes no early data; this is for a program whose TLS does.
	ErrTooEarly AuthError = "too_early"
)

// Error returns what is wrong, in a sentence.
func (d AuthError) Error() string {
	switch d {
	case ErrUnauthenticated:
		return "pismoauth: the request does not carry valid credentials"
	case ErrVerifierUnavailable:
		return "pismoauth: the sender of the request cannot be verified at the moment"
	case ErrInvalidTarget:
		return "pismoauth: the target of the request is not a path without dot segments"
	case ErrMethodNotProxied:
		return "pismoauth: requests with this method are not passed on"
	case ErrTooEarly:
		return "pismoauth: the request came in TLS early data, and is not safe to execute twice"
	default:
		return "pismoauth: the request is for no account that it may act for"
	}
}

// ErrorType returns the denial's name, for OpenTelemetry's error.type.
func (d AuthError) ErrorType() string { return string(d) }

// Permanent reports whether the same request would be denied again.
func (d AuthError) Permanent() bool { return d != ErrVerifierUnavailable && d != ErrTooEarly }

// A misuseError is a mistake in how the program uses this package, which only
// shows when a request comes in. It is answered 500: no client can mend it, and
// a 401 or 403 would hide it. Its text is made of what the program has written.
type misuseError struct{ text string }

func misusef(format string, a ...any) error { return &misuseError{fmt.Sprintf(format, a...)} }

func (e *misuseError) Error() string { return "pismoauth: " + e.text }

// Unwrap returns [tokensource.ErrMisconfigured].
func (e *misuseError) Unwrap() error { return tokensource.ErrMisconfigured }

// ErrorType returns "misconfigured", for OpenTelemetry's error.type.
func (e *misuseError) ErrorType() string { return string(tokensource.ErrMisconfigured) }

// Permanent returns true: the program has to change.
func (e *misuseError) Permanent() bool { return true }
