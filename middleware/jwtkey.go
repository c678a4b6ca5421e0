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
	errCritical = errors.New("pismoauth: the token's header has crit, and no extension is understood")
	errEmptyKey = errors.New("pismoauth: JWTConfig.Key returned an empty key")
)

// verificationKey returns the key that verifies a token. Nothing is asked for one that
// must not be accepted whoever has signed it.
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

// isEmptyKey reports whether a key is an HMAC key that everybody knows, or a pointer
// to none, with which verifying would panic. A look-up in a map returns either
// for a key id that it does not have.
func isEmptyKey(key jwt.VerificationKey) bool {
	if secret, ok := key.([]byte); ok {
		return len(secret) == 0
	}
	value := reflect.ValueOf(key)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// isOutage reports whether an error of JWTConfig.Key is one of asking for a key,
// and no verdict on the token. What it cannot tell is a verdict: if in doubt a
// client could make this server answer 503 with a token that it has made up,
// and have it taken out of a load balancer.
func isOutage(err error) bool {
	var unparsed *url.Error
	switch {
	case errors.Is(err, ErrUnauthenticated), errors.Is(err, ErrForbidden):
		return false
	case errors.Is(err, ErrVerifierUnavailable):
		return true
	case errors.Is(err, fs.ErrNotExist): // No file for the token's key id.
		return false
	case errors.As(err, &unparsed) && unparsed.Op == "parse": // A URL that the token names.
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	var (
		network   net.Error // also *url.Error and syscall.Errno
		syntax    *json.SyntaxError
		mistyped  *json.UnmarshalTypeError
		timeout   interface{ Timeout() bool }
		temporary interface{ Temporary() bool }
	)
	return errors.As(err, &network) || errors.As(err, &syntax) || errors.As(err, &mistyped) ||
		errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &temporary) && temporary.Temporary()
}
