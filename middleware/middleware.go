// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/pismoauth/pismoauth/internal/requesttarget"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Config is the configuration of a [Middleware]. Source and Account are
// required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Source provides the tokens. Use the Source of the transport through which
	// the handlers send their requests.
	Source *tokensource.Source

	// Account finds the account of a request.
	Account AccountFunc

	// ErrorHandler answers requests that are not passed on. Nil means
	// [AnswerProblem].
	ErrorHandler ErrorHandler

	// Logger gets one line when requests begin to fail for a reason that is not
	// their client's, and one line when they no longer fail. The number of
	// lines does not depend on the number of requests. Each kind of failure has
	// its own lines. Answers below 500 are not logged. No line holds an
	// account, a token or a secret. Nil means slog.Default();
	// slog.New(slog.DiscardHandler) logs nothing.
	Logger *slog.Logger
}

// validate reports every fault of c.
func (c *Config) validate() error {
	var faults []error
	if c.Source == nil {
		faults = append(faults, &tokensource.ConfigError{
			Field: "Config.Source", Reason: "is not set; use tokensource.New",
		})
	}
	if c.Account == nil {
		faults = append(faults, &tokensource.ConfigError{
			Field:  "Config.Account",
			Reason: "is not set; use FromContext, FromJWT, FromPath, FromHeader or FixedAccount",
		})
	}
	return errors.Join(faults...)
}

// withDefaults returns c with a value for each field that is not set. A nil
// Logger stays nil: the default logger can change while the program runs.
func (c Config) withDefaults() Config {
	if c.ErrorHandler == nil {
		c.ErrorHandler = AnswerProblem
	}
	return c
}

// An ErrorHandler answers a request that failed with err. The error is
// [ErrInvalidTarget], a [*tokensource.Error], or an error of an [AccountFunc],
// such as [ErrUnauthenticated] and [ErrForbidden]. In a proxy it can also be
// [ErrMethodNotProxied], [ErrTokenRefused], an error of the transport, or an
// error of reading the request's body. [ProblemOf] returns the default answer
// to an error. In a proxy, r can be the outbound request.
//
// It is not called if the request's context is canceled: usually the client has
// gone. A server can also cancel a context while its client still waits:
// because the server shuts down, or because an upload took too long. So that no
// client takes the end for a 200, the status is 503, and the connection is
// aborted with http.ErrAbortHandler.
type ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

// A Middleware finds the account of each inbound request and gets a token for
// it, so that the handlers behind it act for that account. Make a Middleware
// with [New]. It is safe for concurrent use.
type Middleware struct {
	source   *tokensource.Source
	account  AccountFunc
	fail     ErrorHandler
	failures *failureLog
}

// New returns a Middleware. It sends no requests. It reports every fault of the
// configuration, as [*tokensource.ConfigError] values joined by errors.Join.
func New(config Config) (*Middleware, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	return &Middleware{
		source:   config.Source,
		account:  config.Account,
		fail:     config.ErrorHandler,
		failures: newFailureLog(config.Logger),
	}, nil
}

// Wrap returns a handler that passes requests on to next. Each request has its
// account in its context, and a token in its Authorization, in place of the
// client's. Requests that next makes with that context through a transport act
// for the account.
//
// If [Middleware.Admit] fails, the handler answers the request itself and does
// not call next.
//
// Wrap has the signature of a middleware for routers. With chi and gorilla/mux,
// write r.Use(m.Wrap).
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, token, err := m.Admit(r)
		if err != nil {
			m.answerError(w, r, err)
			return
		}
		m.failures.requestPassed(r.Context())
		token.SetAuthHeader(admitted.Header)
		next.ServeHTTP(w, admitted)
	})
}

// Admit finds the account of r and gets a token for it. Admit is for callers
// with their own error handling: unlike Wrap, it sets no Authorization, answers
// nothing and logs nothing.
//
// It returns a copy of r and the token. The copy has account and token in its
// context, and no Authorization in its header or trailer. Admit does not change
// r.
//
// The errors are those that an [ErrorHandler] gets. [ErrInvalidTarget] is one
// of them: a router's pattern protects nothing if a later server reads another
// path in the target.
func (m *Middleware) Admit(r *http.Request) (*http.Request, *tokensource.Token, error) {
	if !requesttarget.Unambiguous(r) {
		return nil, nil, ErrInvalidTarget
	}
	out := new(http.Request)
	*out = *r
	if out.Header = r.Header.Clone(); out.Header == nil {
		out.Header = http.Header{}
	}
	account, err := m.findAccount(out)
	if err != nil {
		return nil, nil, err
	}
	token, err := m.source.Token(r.Context(), account)
	if err != nil {
		return nil, nil, err
	}
	dropAuthorization(out)
	// The transport asks the Source again. With the token in the context, hooks
	// count the request once.
	ctx := tokensource.ContextWithForwardedToken(tokensource.ContextWithAccount(r.Context(), account), token)
	*out = *out.WithContext(ctx) // One copy on the heap, not two.
	return out, token, nil
}

// findAccount returns the account of a request. Its error is an AuthError or a
// misuseError. It joins any other error of the AccountFunc with ErrForbidden.
func (m *Middleware) findAccount(r *http.Request) (tokensource.Account, error) {
	account, err := m.account(r)
	if err != nil {
		return account, asAuthError(err)
	}
	if account == (tokensource.Account{}) {
		return account, ErrForbidden
	}
	return account, nil
}

// asAuthError returns err if it is an AuthError or a misuseError. It joins any
// other error with ErrForbidden.
func asAuthError(err error) error {
	if _, ok := errors.AsType[AuthError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*misuseError](err); ok {
		return err
	}
	return errors.Join(ErrForbidden, err)
}

// answerError answers a request that failed, unless its client has gone.
func (m *Middleware) answerError(w http.ResponseWriter, r *http.Request, err error) {
	if clientGone(r) {
		abort(w, r)
		return
	}
	m.failures.requestFailed(r.Context(), err)
	m.fail(w, r, err)
}

// clientGone reports whether a request's client has gone. A passed deadline
// does not count: the client still waits for an answer.
func clientGone(r *http.Request) bool {
	return errors.Is(r.Context().Err(), context.Canceled)
}

// abort ends a request whose client has gone. If the client is still there, it
// must not take the end for a success. So abort writes a status before it
// panics. The server of net/http drops the status together with the connection.
// A framework that recovers from panics, and a server other than that of
// net/http, sends the status. The status does not say whether the request was
// executed, so there is no Retry-After.
func abort(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Context().Value(http.ServerContextKey) != nil {
		panic(http.ErrAbortHandler) // The server of net/http handles this panic.
	}
}
