// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"errors"
	"fmt"
	"net/http"
)

// ErrTokenRefused is the failure of a proxied request that the platform refused
// with a 401 because of its token, and that neither a renewal nor a replay
// could save. The client must not take it for a refusal of its own credentials.
var ErrTokenRefused error = tokenRefusedError{}

type tokenRefusedError struct{}

func (tokenRefusedError) Error() string {
	return "pismoauth: the platform refused the token, and the proxy could not replace it"
}

// ErrorType names the error, for OpenTelemetry's error.type.
func (tokenRefusedError) ErrorType() string { return "token_refused" }

// A condition is an error value that selects a Problem, for failures without an
// error value of another package. Its value is its name in telemetry and logs.
type condition string

const (
	timedOutBefore      condition = "timed_out_before"
	upstreamTimeout     condition = "upstream_timeout"
	upstreamUnreachable condition = "upstream_unreachable"
	upstreamInvalid     condition = "upstream_invalid"
	upstreamBrokeOff    condition = "upstream_broke_off" // selects no Problem
	upgradeUnsupported  condition = "upgrade_unsupported"
	bodyTooLarge        condition = "body_too_large"
	bodyTimeout         condition = "body_timeout"
	bodyUnreadable      condition = "body_unreadable"
)

// conditions holds the text of each condition.
var conditions = map[condition]string{
	timedOutBefore:      "in cooldown after a timeout",
	upstreamTimeout:     "the upstream took too long",
	upstreamUnreachable: "the upstream could not be reached",
	upstreamInvalid:     "the upstream switched to a protocol that was not asked for",
	upstreamBrokeOff:    "a response of the upstream broke off",
	upgradeUnsupported:  "the client's connection cannot be upgraded",
	bodyTooLarge:        "the request's body is too large",
	bodyTimeout:         "the request's body took too long",
	bodyUnreadable:      "the request's body could not be read",
}

func (c condition) Error() string { return "pismoauth: " + conditions[c] }

// ErrorType returns the condition's name, for OpenTelemetry's error.type.
func (c condition) ErrorType() string { return string(c) }

// An upgradeError is the failure of a request to switch protocols. The
// program's own ResponseWriter does not allow to hijack the client's
// connection.
type upgradeError struct{ writer http.ResponseWriter }

func (e *upgradeError) Error() string {
	return fmt.Sprintf("%s: the ResponseWriter %T has neither a Hijack that works nor an Unwrap that leads to one; "+
		"remove the handler that wraps it from the routes with upgrades", upgradeUnsupported.Error(), e.writer)
}

// Unwrap returns the condition that selects the error's Problem.
func (e *upgradeError) Unwrap() error { return upgradeUnsupported }

// Permanent returns true: the program has to change.
func (e *upgradeError) Permanent() bool { return true }

// UnreadableBody returns the error of a request whose body could not be read
// from the client because of cause. The body was too large, too slow, or broke
// off; [ProblemOf] distinguishes the three. It is for a proxy of your own,
// whose transport would otherwise take the error for a failure of the platform.
func UnreadableBody(cause error) error { return &bodyError{cause} }

type bodyError struct{ cause error }

func (e *bodyError) Error() string { return e.condition().Error() }

func (e *bodyError) Unwrap() error { return e.cause }

// ErrorType names the error, for OpenTelemetry's error.type.
func (e *bodyError) ErrorType() string { return e.condition().ErrorType() }

// Permanent reports whether the same request would fail again.
func (e *bodyError) Permanent() bool { return e.condition() == bodyTooLarge }

// condition returns the condition that selects the error's Problem.
func (e *bodyError) condition() condition {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(e.cause, &tooLarge):
		return bodyTooLarge
	case isTimeout(e.cause):
		return bodyTimeout
	default:
		return bodyUnreadable
	}
}
