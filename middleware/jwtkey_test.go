// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

// A temporary is an error with a method Temporary, like those of some database
// clients.
type temporary bool

func (t temporary) Error() string   { return "temporary" }
func (t temporary) Temporary() bool { return bool(t) }

// The outage of a key server must not log clients out. All clients would drop
// their tokens after a 401.
func TestJWTConfig_KeyOutagesAre503(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, outage := range map[string]error{
		"as said":                 middleware.ErrVerifierUnavailable,
		"with its cause":          errors.Join(errors.New("status 503"), middleware.ErrVerifierUnavailable),
		"as said, wrapped":        fmt.Errorf("keys: %w: status 503", middleware.ErrVerifierUnavailable),
		"connection refused":      refused,
		"in an http.Client":       &url.Error{Op: "Get", URL: "https://login.example/keys", Err: refused},
		"a certificate":           &url.Error{Op: "Get", URL: "https://login.example/keys", Err: errors.New("x509: certificate signed by unknown authority")},
		"wrapped by a library":    fmt.Errorf("failed keyfunc: %w", errors.Join(fmt.Errorf("fetching: %w", refused), errors.New("failed"))),
		"no such host":            &net.DNSError{Err: "no such host", Name: "login.example", IsNotFound: true},
		"a deadline":              context.DeadlineExceeded,
		"canceled":                fmt.Errorf("waiting: %w", context.Canceled),
		"a deadline of the file":  os.ErrDeadlineExceeded,
		"connection reset":        syscall.ECONNRESET,
		"too many open files":     &fs.PathError{Op: "open", Path: "/run/keys.json", Err: syscall.EMFILE},
		"a file, without access":  &fs.PathError{Op: "open", Path: "/run/keys.json", Err: syscall.EACCES},
		"an answer that ends":     fmt.Errorf("reading keys: %w", io.ErrUnexpectedEOF),
		"an empty answer":         io.EOF,
		"a page instead of JSON":  json.Unmarshal([]byte("<html>"), new(any)),
		"JSON that is no key set": json.Unmarshal([]byte(`{"keys":1}`), &struct{ Keys []string }{}),
		"temporary":               temporary(true),
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, nil)
			config.Key = func(*jwt.Token) (any, error) { return hmacKey, outage }
			logger, logged := newLogger()
			m := newMiddleware(t, middleware.Config{
				Source:  newSource(t, tokensource.Config{Issuer: grantingIssuer("token")}),
				Account: fromJWT(t, config),
				Logger:  logger,
			})
			r := call(m.Wrap(http.NotFoundHandler()), inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())))
			wantProblem(t, r, http.StatusServiceUnavailable, "verifier-unavailable")
			check(t, "Retry-After", r.header.Get("Retry-After"), "1")
			check(t, "WWW-Authenticate", r.header.Get("WWW-Authenticate"), "")
			check(t, "in the log", strings.Contains(logged.String(), `"error_type":"verifier_unavailable"`), true)

			_, _, err := m.Admit(inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())))
			check(t, "errors.Is", errors.Is(err, middleware.ErrVerifierUnavailable) && errors.Is(err, outage), true)
			wantPermanent(t, err, false)
		})
	}
}

// A client chooses the key id of its token. It must not be able to cause a 503,
// because a load balancer would then take the server out of rotation.
func TestJWTConfig_KeyVerdictsAre401(t *testing.T) {
	_, unparsed := url.Parse("https://" + strings.Repeat("%", 3) + "/")
	for name, verdict := range map[string]error{
		"an unknown key id":      errors.New("unknown kid"),
		"of keyfunc":             fmt.Errorf("failed keyfunc: %w", errors.Join(errors.New("key not found"), errors.New("failed"))),
		"unauthenticated":        middleware.ErrUnauthenticated,
		"with an outage":         errors.Join(context.DeadlineExceeded, middleware.ErrUnauthenticated),
		"an algorithm":           fmt.Errorf("unexpected signing method: %v", "HS256"),
		"of the parser":          jwt.ErrTokenUnverifiable,
		"no file of that name":   &fs.PathError{Op: "open", Path: "/keys/none.pem", Err: syscall.ENOENT},
		"a URL in the token":     unparsed,
		"permanent":              temporary(false),
		"a faulty configuration": &tokensource.ConfigError{Field: "field", Reason: "reason"},
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, nil)
			config.Key = func(*jwt.Token) (any, error) { return hmacKey, verdict }
			m := newMiddleware(t, middleware.Config{
				Source:  newSource(t, tokensource.Config{Issuer: grantingIssuer("token")}),
				Account: fromJWT(t, config),
			})
			r := call(m.Wrap(http.NotFoundHandler()), inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())))
			wantProblem(t, r, http.StatusUnauthorized, "unauthenticated")
		})
	}
}

// Key is not called for a token that is invalid with every key. An outage of
// the keys then does not change the answer.
func TestJWTConfig_KeyIsNotAskedForRubbish(t *testing.T) {
	config := jwtConfig(jwt.SigningMethodRS256, nil)
	config.Key = func(*jwt.Token) (any, error) {
		t.Error("Key was called")
		return nil, middleware.ErrVerifierUnavailable
	}
	find := fromJWT(t, config)
	wantUnauthenticated(t, find)
	wantUnauthenticated(t, find, "Bearer rubbish")
	wantUnauthenticated(t, find, "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims()))
	wantUnauthenticated(t, find, "Bearer "+sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims()))
}

// A map of keys returns nil for an unknown key id. Some methods panic when they
// verify with a nil key.
func TestJWTConfig_NilKeysVerifyNothing(t *testing.T) {
	token := sign(t, jwt.SigningMethodRS256, rsaKey(), goodClaims())
	for _, key := range []any{
		nil,
		(*rsa.PublicKey)(nil),
		(*ecdsa.PublicKey)(nil),
		map[string]*rsa.PublicKey{}["kid"],
		jwt.VerificationKeySet{Keys: []jwt.VerificationKey{(*rsa.PublicKey)(nil), rsaKey().Public()}},
		ed25519.PublicKey(nil),
		[]byte(nil),
		"",
	} {
		wantUnauthenticated(t, fromJWT(t, jwtConfig(jwt.SigningMethodRS256, key)), "Bearer "+token)
	}
}

// The key server closes the connection without an answer.
func TestFromJWT_KeyServerOutageIs503(t *testing.T) {
	keys := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer keys.Close()
	config := jwtConfig(jwt.SigningMethodHS256, nil)
	config.Key = func(*jwt.Token) (any, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, keys.URL, nil)
		if err != nil {
			return nil, err
		}
		resp, err := keys.Client().Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return io.ReadAll(resp.Body)
	}
	find := fromJWT(t, config)
	_, err := find(inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())))
	check(t, "errors.Is", errors.Is(err, middleware.ErrVerifierUnavailable), true)
}
