package tokensource

import (
	"context"
	"errors"
)

// Explain returns an error with the given text, which wraps cause. The cause may
// be nil. The text becomes part of the text of an [*Error] that has it as its
// cause, and so of logs and spans: it must not hold a secret, a token, an account,
// a response body, or the query of a URL. The text of cause is not shown.
//
// It is meant for implementations of [Issuer], which can say what a person needs
// to know: the variable that is not set, the file that cannot be read, the host
// that cannot be reached.
func Explain(text string, cause error) error { return &explained{text, &cause} }

// explained is an error with a text that is safe to print, and a cause that may
// not be. The cause is behind a pointer, because fmt would print it in an
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

// notCanceled returns err so that it is not taken for the caller's own leaving:
// errors.Is(err, context.Canceled) is false. The calls of an issuer have a context
// that no caller cancels.
func notCanceled(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if texts := explanationsOf(err); len(texts) > 0 {
		return Explain(texts[0], nil)
	}
	return Explain("the token request was canceled on its way", nil)
}
