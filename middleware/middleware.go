package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/pismoauth/pismoauth/internal/requesttarget"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Config is how a [Middleware] is configured. Source and Account are required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Source has the tokens. It should be the one of the transport that the
	// handlers use.
	Source *tokensource.Source

	// Account says for which account a request is.
	Account AccountFunc

	// ErrorHandler answers requests that are not passed on. Nil means
	// [AnswerProblem].
	ErrorHandler ErrorHandler

	// Logger is told when requests begin to fail for a reason that is not
	// theirs, and when they no longer do: one line each for a kind of failure,
	// however many requests fail. Answers below 500 are no such failures. No
	// line holds an account, a token or a secret. Nil means slog.Default();
	// slog.New(slog.DiscardHandler) logs nothing.
	Logger *slog.Logger
}

// An ErrorHandler answers a request that failed with err: [ErrInvalidTarget];
// an error of an [AccountFunc], such as [ErrUnauthenticated] and
// [ErrForbidden]; a [*tokensource.Error]; or, in a proxy,
// [ErrMethodNotProxied], [ErrUnhealed], an error of the transport, or one of
// reading the request's body. [ProblemOf] tells what they come to. In a proxy,
// r may be the request as it was to go out.
//
// It is not called for a client that has gone: the status is 503 then, and the
// connection is aborted with http.ErrAbortHandler. A context can be canceled
// while somebody still waits, by a server that shuts down or that has lost
// patience with a slow upload; and to just return would be a 200.
type ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

// A Middleware authenticates what handlers do in the name of those who call
// them. Make one with [New]. It is safe for concurrent use.
type Middleware struct {
	source   *tokensource.Source
	account  AccountFunc
	fail     ErrorHandler
	failures *failureLog
}

// New returns a Middleware. It contacts no one. Every fault in the
// configuration is reported, as [*tokensource.ConfigError] values joined by
// errors.Join.
func New(config Config) (*Middleware, error) {
	var faults []error
	if config.Source == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Source", Reason: "is not set; use tokensource.New"})
	}
	if config.Account == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Account", Reason: "is not set; use FromContext, FromJWT, FromPath, FromHeader or Fixed"})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	m := &Middleware{
		source:   config.Source,
		account:  config.Account,
		fail:     config.ErrorHandler,
		failures: newFailureLog(config.Logger),
	}
	if m.fail == nil {
		m.fail = AnswerProblem
	}
	return m, nil
}

// Wrap returns a handler that passes requests on to next, each with the account
// that it is for in its context, and with a token in its Authorization, in
// place of whatever was there. Requests made with that context through a
// transport act for that account.
//
// A request that [Middleware.Admit] does not let in is answered and not passed
// on.
//
// It is what routers call a middleware: chi and gorilla/mux take it in
// r.Use(m.Wrap).
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, token, err := m.Admit(r)
		if err != nil {
			m.answer(w, r, err)
			return
		}
		m.failures.passed(r.Context())
		token.SetAuthHeader(admitted.Header)
		next.ServeHTTP(w, admitted)
	})
}

// Admit finds the account that r is for, and makes sure that there is a token
// for it. It is Wrap without the Authorization, for callers with error handling
// of their own: nothing is answered and nothing is logged.
//
// It returns a copy of r that carries account and token in its context and has no
// Authorization, neither in its header nor in its trailer, and the token. It
// does not change r. Errors are those that an [ErrorHandler] gets, and
// [ErrInvalidTarget]: what a router matched bounds a request only if nobody
// behind it reads another path.
func (m *Middleware) Admit(r *http.Request) (*http.Request, *tokensource.Token, error) {
	if !requesttarget.Unambiguous(r) {
		return nil, nil, ErrInvalidTarget
	}
	out := new(http.Request)
	*out = *r
	if out.Header = r.Header.Clone(); out.Header == nil {
		out.Header = http.Header{}
	}
	account, err := m.accountOf(out)
	if err != nil {
		return nil, nil, err
	}
	token, err := m.source.Token(r.Context(), account)
	if err != nil {
		return nil, nil, err
	}
	dropAuthorization(out)
	// With the token in the context, hooks count a request once that asks the
	// Source again in its transport.
	ctx := tokensource.ContextWithToken(tokensource.ContextWithAccount(r.Context(), account), token)
	*out = *out.WithContext(ctx) // One copy on the heap, not two.
	return out, token, nil
}

// accountOf returns the account that a request is for. Its errors are denials,
// and mistakes of the program that this package has found: what else a function
// of the user's says keeps nobody from 403.
func (m *Middleware) accountOf(r *http.Request) (tokensource.Account, error) {
	account, err := m.account(r)
	if err != nil {
		return account, denied(err)
	}
	if account == (tokensource.Account{}) {
		return account, ErrForbidden
	}
	return account, nil
}

// denied returns err as a denial, unless it is a mistake of the program.
func denied(err error) error {
	if _, ok := errors.AsType[Denial](err); ok {
		return err
	}
	if _, ok := errors.AsType[*misuseError](err); ok {
		return err
	}
	return errors.Join(ErrForbidden, err)
}

// answer answers a request that failed, unless its client has gone.
func (m *Middleware) answer(w http.ResponseWriter, r *http.Request, err error) {
	if gone(r) {
		abort(w, r)
		return
	}
	m.failures.failed(r.Context(), err)
	m.fail(w, r, err)
}

// gone reports whether a request's client has left, and waits for no answer. A
// deadline that has passed is another matter: somebody waits to be told.
func gone(r *http.Request) bool { return errors.Is(r.Context().Err(), context.Canceled) }

// abort ends a request whose client has gone. If it has not, it must not take
// the end for a success. So there is a status before the panic: a server drops
// it with the connection, but a framework that recovers from panics, or that is
// not a server of net/http, sends what was written. The status says nothing of
// whether the request was executed, and so there is no Retry-After.
func abort(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Context().Value(http.ServerContextKey) != nil {
		panic(http.ErrAbortHandler) // There is a server, which takes it as it is meant.
	}
}
