// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"errors"
	"strings"
)

// SafeError returns an error that prints nothing but text, which must be safe
// to log. The error wraps cause, which may be nil. If the error is the cause of
// an [*Error], the text becomes part of the text of that Error, and so of logs
// and spans. The text must not hold a secret, a token, an account, a response
// body, or the query of a URL. The text of cause is not shown.
//
// SafeError is for implementations of [Issuer]. They can name the variable that
// is not set, the file that cannot be read, or the host that cannot be reached.
func SafeError(text string, cause error) error { return &explained{text, &cause} }

// explained is an error whose text is safe to print, with a cause that may not
// be safe. The cause is behind a pointer, because fmt would print it in an
// unexported field.
type explained struct {
	text  string
	cause *error
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() error { return *e.cause }

// explanationsOf returns the texts in a chain of errors that are safe to print.
func explanationsOf(err error) []string {
	switch e := err.(type) { //nolint:errorlint // It walks the chain itself.
	case nil:
		return nil
	case *explained:
		return []string{e.text}
	case *ConfigError:
		return []string{e.Field + ": " + e.Reason}
	case interface{ Unwrap() error }:
		return explanationsOf(e.Unwrap())
	case interface{ Unwrap() []error }:
		var texts []string
		for _, err := range e.Unwrap() {
			texts = append(texts, explanationsOf(err)...)
		}
		return texts
	}
	return nil
}

// SafeText returns the part of an error's text that is safe to log: the texts
// of its chain that [SafeError] or [*ConfigError] made. It returns "" if there
// is none. It is for code that logs errors of unknown origin.
func SafeText(err error) string { return strings.Join(explanationsOf(err), ": ") }

// notCanceled returns err without context.Canceled in its chain. Otherwise
// errors.Is would attribute the error to the caller, but no caller cancels the
// context of an issuer's call.
func notCanceled(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if texts := explanationsOf(err); len(texts) > 0 {
		return SafeError(texts[0], nil)
	}
	return SafeError("the issuer canceled the token request", nil)
}
