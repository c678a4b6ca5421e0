// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"reflect"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

var (
	errCritical = errors.New("pismoauth: the token's header has crit, and no extension is supported")
	errEmptyKey = errors.New("pismoauth: JWTConfig.Key returned an empty key")
)

// verificationKey returns the key that verifies a token. It does not call
// JWTConfig.Key for a token with crit, which is invalid with any key.
func (v *verifier) verificationKey(token *jwt.Token) (any, error) {
	if _, ok := token.Header["crit"]; ok {
		return nil, errCritical
	}
	found, err := v.key(token)
	if err != nil {
		if isOutage(err) {
			return nil, errors.Join(ErrVerifierUnavailable, err)
		}
		return nil, err
	}
	keys := []jwt.VerificationKey{found}
	if set, ok := found.(jwt.VerificationKeySet); ok {
		keys = set.Keys
	}
	if slices.ContainsFunc(keys, isEmptyKey) {
		return nil, errEmptyKey
	}
	return found, nil
}

// isEmptyKey reports whether a key is empty or nil. Everybody can sign with an
// empty HMAC key, and verifying with a nil pointer panics. A map of keys
// returns such a key for an unknown key id.
func isEmptyKey(key jwt.VerificationKey) bool {
	if secret, ok := key.([]byte); ok {
		return len(secret) == 0
	}
	value := reflect.ValueOf(key)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// isOutage reports whether an error of JWTConfig.Key is an outage of the key
// server, which says nothing about the token. An unknown error is not an
// outage: otherwise a client could send an invented token to make this server
// answer 503, and a load balancer would take the server out of rotation.
func isOutage(err error) bool {
	switch {
	case errors.Is(err, ErrUnauthenticated), errors.Is(err, ErrForbidden):
		return false
	case errors.Is(err, ErrVerifierUnavailable):
		return true
	case isFaultOfToken(err):
		return false
	}
	return isAny(err, context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF) ||
		isNetworkError(err) || isNotJSON(err)
}

// isFaultOfToken reports whether an error arises from what the token names: a
// key id without a file, or a URL that cannot be parsed.
func isFaultOfToken(err error) bool {
	invalid, ok := errors.AsType[*url.Error](err)
	return errors.Is(err, fs.ErrNotExist) || ok && invalid.Op == "parse"
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// isNetworkError reports whether an error comes from the network, such as
// *url.Error and syscall.Errno, or has a method that says that it is a timeout
// or temporary.
func isNetworkError(err error) bool {
	var (
		network   net.Error
		timeout   interface{ Timeout() bool }
		temporary interface{ Temporary() bool }
	)
	return errors.As(err, &network) ||
		errors.As(err, &timeout) && timeout.Timeout() ||
		errors.As(err, &temporary) && temporary.Temporary()
}

func isNotJSON(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, mistyped := errors.AsType[*json.UnmarshalTypeError](err)
	return syntax || mistyped
}
