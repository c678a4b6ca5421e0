// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"regexp"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The errors of a Store have a text that is safe to log, see
// [tokensource.SafeError]: it has no address, no key, no value and no password.
// They wrap the error of the client.
var (
	errNonsense = tokensource.SafeError("the server's answer does not have the form that the script gives it", nil)
)

// code matches the first word of an error of the server, such as READONLY.
var code = regexp.MustCompile(`^[A-Z]{2,20}\b`)

// explain says in words that are safe to log why a call failed.
func explain(err error) error {
	if tokensource.SafeText(err) != "" {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err // Package fleet says how long it waited.
	}
	if answer, ok := errors.AsType[redis.Error](err); ok && !errors.Is(err, redis.Nil) {
		return tokensource.SafeError("the server answers "+codeOf(answer.Error()), err)
	}
	if reason := networkReason(err); reason != "" {
		return tokensource.SafeError(reason, err)
	}
	return tokensource.SafeError(errNonsense.Error(), err) // The client could not read it.
}

// codeOf returns the code of an error of the server.
func codeOf(answer string) string {
	if word := code.FindString(answer); word != "" {
		return word
	}
	return "with an error"
}

// networkReason says why the server could not be reached, or "".
func networkReason(err error) string {
	switch {
	case errors.Is(err, redis.ErrClosed):
		return "the store is closed"
	case errors.Is(err, redis.ErrPoolTimeout):
		return "all connections to the server are in use"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the server refuses connections"
	case isA[*net.DNSError](err):
		return "the host name of the server cannot be resolved"
	case isA[*tls.CertificateVerificationError](err):
		return "the certificate of the server is not trusted"
	case isA[tls.AlertError](err), isA[tls.RecordHeaderError](err):
		return "the TLS handshake failed"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server closed the connection"
	case isA[net.Error](err):
		return "the connection to the server failed"
	}
	return ""
}

// isA reports whether the chain of err has an error of type T.
func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// fileError names the field of a file that cannot be read.
func fileError(field string, err error) error {
	reason := "Config." + field + " cannot be read"
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason += ": " + e.Err.Error() // The system's reason, such as "permission denied".
	}
	return tokensource.SafeError(reason, err)
}
