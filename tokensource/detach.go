// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"errors"
	"fmt"
)

// An answer is the result of a call of foreign code.
type answer[T any] struct {
	value    T
	panicked error // nil if the call returned
}

var errGoexit = errors.New("the call ended its goroutine")

// errEnded is the outcome of an issuer that ended its goroutine.
var errEnded = NewError(ErrIssuerPanic, errGoexit)

// detach calls foreign code, such as an issuer or a hook, on a goroutine of its
// own, so that the caller may stop waiting. The channel gets one answer, even
// after a panic or runtime.Goexit.
func detach[T any](call func() T) <-chan answer[T] {
	answers := make(chan answer[T], 1)
	go func() {
		a := answer[T]{panicked: errGoexit}
		defer func() {
			if p := recover(); p != nil {
				a.panicked = panicError(p)
			}
			answers <- a
		}()
		a.value = call()
		a.panicked = nil
	}()
	return answers
}

// panicError returns an error for the recovered value of a panic.
func panicError(recovered any) error { return fmt.Errorf("the call panicked: %v", recovered) }
