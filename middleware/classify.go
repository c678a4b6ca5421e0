// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"context"
	"errors"

	"github.com/pismoauth/pismoauth/tokensource"
)

// classify returns the key of problems for err.
func classify(err error) error {
	var denial AuthError
	var token *tokensource.Error
	var body *bodyError
	var known condition
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return ErrUnauthenticated
	case errors.As(err, &denial):
		if _, known := problems[denial]; !known {
			return ErrForbidden
		}
		return denial
	case errors.As(err, &token):
		return classifyTokenError(token)
	case errors.As(err, &body):
		return body.condition()
	case errors.Is(err, ErrTokenRefused):
		return ErrTokenRefused
	case errors.Is(err, tokensource.ErrMisconfigured): // includes every transport.UnsentError
		return tokensource.ErrMisconfigured
	case errors.As(err, &known):
		return known
	case isTimeout(err):
		return upstreamTimeout
	default:
		return upstreamUnreachable
	}
}

// classifyTokenError returns the key of problems for an error of a Source. A
// suppressed error differs from others for a timeout only: most other kinds do
// not go away by trying again, and the rest are 503 anyway.
func classifyTokenError(err *tokensource.Error) error {
	if err.Kind == tokensource.ErrTimeout && err.Suppressed {
		return timedOutBefore
	}
	return err.Kind
}

// isTimeout reports whether err is a timeout, of a context or of the network.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
