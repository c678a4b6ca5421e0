package tokensource

import (
	"errors"
	"fmt"
)

// An answer is what a call of foreign code comes to.
type answer[T any] struct {
	value    T
	panicked error // nil if the call returned
}

var errGoexit = errors.New("it ended its goroutine")

// detach calls foreign code, such as an issuer or a hook, on a goroutine of its
// own: a caller who stops waiting for it is free to go. The channel gets one
// answer, after a panic and after runtime.Goexit too.
func detach[T any](call func() T) <-chan answer[T] {
	answers := make(chan answer[T], 1)
	go func() {
		a := answer[T]{panicked: errGoexit}
		defer func() {
			if p := recover(); p != nil {
				a.panicked = fmt.Errorf("it panicked: %v", p)
			}
			answers <- a
		}()
		a.value = call()
		a.panicked = nil
	}()
	return answers
}
