// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"fmt"

	"github.com/pismoauth/pismoauth/tokensource"
)

// An AuthError is the reason why a request is denied, with the status of the
// default answer.
type AuthError string

// The reasons.
const (
	// ErrUnauthenticated (401): the request does not prove who sent it. The client
	// has to authenticate, and can then try again.
	ErrUnauthenticated AuthError = "unauthenticated"
	// ErrForbidden (403): the request names no account, or an account that its
	// sender may not act for.
	ErrForbidden AuthError = "account_forbidden"
	// ErrVerifierUnavailable (503): the key server, the session store or another
	// verifier of the request's sender is down. The error says nothing about
	// the request. The client keeps its credentials; a 401 would log it out.
	ErrVerifierUnavailable AuthError = "verifier_unavailable"
	// ErrInvalidTarget (400): the target of the request is not a path, or another
	// server may read it as a different path. The latter is so if a segment is "."
	// or "..", in whichever encoding, or if the target has control characters or
	// is not UTF-8.
	ErrInvalidTarget AuthError = "invalid_target"
	// ErrMethodNotProxied (501): a proxy passes on neither TRACE nor CONNECT. The
	// answer to TRACE repeats the request, including the proxy's token (RFC
	// 9110, section 9.3.8). CONNECT asks for a tunnel.
	ErrMethodNotProxied AuthError = "method_not_proxied"
	// ErrTooEarly (425): the request came in TLS early data, and executing it
	// twice is not safe (RFC 8470, section 5.2). Any party on the network path can
	// repeat early data. The client can send the request again after its
	// handshake. net/http does not accept early data, so this package never
	// returns the error. An [AccountFunc] of a program whose TLS accepts early
	// data can return it.
	ErrTooEarly AuthError = "too_early"
)

// Error returns the reason as a sentence.
func (d AuthError) Error() string {
	switch d {
	case ErrUnauthenticated:
		return "pismoauth: the request does not carry valid credentials"
	case ErrVerifierUnavailable:
		return "pismoauth: the sender of the request cannot be verified at the moment"
	case ErrInvalidTarget:
		return "pismoauth: the target of the request is not a path, or has a dot segment"
	case ErrMethodNotProxied:
		return "pismoauth: requests with this method are not passed on"
	case ErrTooEarly:
		return "pismoauth: the request came in TLS early data, and is not safe to execute twice"
	default:
		return "pismoauth: the request names no account, or one that its sender may not act for"
	}
}

// ErrorType returns the name of the reason, for OpenTelemetry's error.type.
func (d AuthError) ErrorType() string { return string(d) }

// Permanent reports whether the same request would be denied again.
func (d AuthError) Permanent() bool { return d != ErrVerifierUnavailable && d != ErrTooEarly }

// A misuseError is a mistake in the program's use of this package that shows
// only when a request comes in. It is answered 500: no client can correct it,
// and a 401 or 403 would hide it. Its text holds only what the program's source
// says, and nothing of a request.
type misuseError struct{ text string }

func misusef(format string, a ...any) error { return &misuseError{fmt.Sprintf(format, a...)} }

func (e *misuseError) Error() string { return "pismoauth: " + e.text }

// Unwrap returns [tokensource.ErrMisconfigured].
func (e *misuseError) Unwrap() error { return tokensource.ErrMisconfigured }

// ErrorType returns "misconfigured", for OpenTelemetry's error.type.
func (e *misuseError) ErrorType() string { return string(tokensource.ErrMisconfigured) }

// Permanent returns true: the program has to change.
func (e *misuseError) Permanent() bool { return true }
