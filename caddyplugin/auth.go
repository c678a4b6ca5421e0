// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

func init() {
	caddy.RegisterModule(Auth{})
}

// Auth finds the account of a request and obtains a token for it. A later
// `reverse_proxy` with `transport pismo` then acts for that account. Auth
// removes the Authorization that the client sent. If a request has no account,
// or if no token can be issued, Auth answers with problem details (RFC 9457)
// and does not pass the request on.
//
// Authenticate the client before this handler: the choice of the account
// decides whose money moves.
//
// The directive `pismo_proxy` combines this handler with a `reverse_proxy`.
// Most Caddyfiles need only this directive:
//
//	pismo_proxy https://sandbox.pismolabs.io {
//		account {account}
//	}
//
// Write the two separately if other handlers between them must run only with a
// token:
//
//	pismo_auth {
//		account {account}
//	}
//	reverse_proxy https://sandbox.pismolabs.io {
//		transport pismo
//	}
//
// Auth sets these placeholders:
//
// Placeholder | Description
// ------------|-------------
// `{http.pismo.account.kind}` | `account` or `organization`
// `{http.pismo.token.serial}` | The number of the token in this process
// `{http.pismo.token.expires_in}` | The seconds until the token expires
type Auth struct {
	// The name of a client in the app `pismo`. Default: the only client.
	Client string `json:"client,omitempty"`

	// The account: a placeholder whose value is the account's id, such as
	// `{http.auth.user.id}` or one that `map` makes; the word `organization`, for
	// a token that reaches every account; or an account's id. There is no default.
	// Placeholders that a client controls are refused. A `map` or `vars` made from
	// such a placeholder is not detected: never do that. The placeholders of a
	// client certificate (`{http.request.tls.client.*}`) prove something only
	// where `client_auth` has a mode that verifies it. In `map`, quote ids of more
	// than 15 digits: as numbers they lose their last digits, and their requests
	// are refused.
	Account string `json:"account,omitempty"`

	// A regular expression that the whole value of the placeholder must match.
	// Otherwise the request is refused with 403.
	AccountPattern string `json:"account_pattern,omitempty"`

	// A header field that names the account. Use it instead of `account`, never
	// with it. A server in front of Caddy must set the field, and remove it from
	// every client's request. A client that can reach Caddy without that server
	// can act for every account. The field never reaches the upstream. A request
	// is refused with 403 if it has the field twice, or a field whose name differs
	// only in `_` for `-`.
	AccountHeader string `json:"account_header,omitempty"`

	// A regular expression that the whole value of that field must match. Required
	// with `account_header`.
	AccountHeaderPattern string `json:"account_header_pattern,omitempty"`

	// How Caddy answers a failure of its own: no account, no token, no reachable
	// upstream. Empty: problem details, but an unreachable upstream goes to
	// `handle_errors` if the site has that directive. `handle`: every failure goes
	// to `handle_errors`.
	Errors string `json:"errors,omitempty"`

	// Sets the token in the request's Authorization, for handlers that are not
	// `reverse_proxy` with `transport pismo`. The client's `hosts` do not limit
	// where these handlers send the token. If the token is refused, it is not
	// renewed and the request is not replayed.
	Inject bool `json:"inject,omitempty"`

	client      *clientRef
	middleware  *middleware.Middleware
	logger      *zap.Logger
	errorRoutes bool // The handler is in a subroute with error routes.
}

// CaddyModule returns the Caddy module information.
func (Auth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.pismo_auth",
		New: func() caddy.Module { return new(Auth) },
	}
}

// Provision finds the client, and checks the options.
func (a *Auth) Provision(ctx caddy.Context) error {
	client, err := clientOf(ctx, a.Client)
	if err != nil {
		return err
	}
	a.client, a.logger, a.errorRoutes = client, ctx.Logger().With(zap.String("client", client.name)), handlesErrors(ctx)
	if err := a.validate(); err != nil {
		return fmt.Errorf("client %s: %w", client.name, err)
	}
	find, err := a.accountFunc(ctx)
	if err != nil {
		return fmt.Errorf("client %s: %w", client.name, err)
	}
	client.app.auths = append(client.app.auths, ctx.Modules())
	a.middleware, err = middleware.New(middleware.Config{
		Source:  client.source,
		Account: find,
		Logger:  slog.New(slog.DiscardHandler), // The client's report logs the failures.
	})
	return err
}

// validate returns the fault in the options.
func (a *Auth) validate() error {
	switch {
	case a.Account == "" && a.AccountHeader == "":
		return &optionError{"account", errors.New("is not set; give a placeholder such as {http.auth.user.id}, or the word organization")}
	case a.AccountHeader != "" && a.AccountHeaderPattern == "":
		return &optionError{"account_header", errors.New("has no pattern: add a regular expression for the account's id")}
	}
	return a.validatePartial()
}

// validatePartial returns the fault in the options that are set. Further
// options cannot remove such a fault.
func (a *Auth) validatePartial() error {
	switch {
	case a.Account != "" && a.AccountHeader != "":
		return &optionError{"account", errors.New("is set, and account_header is set too: remove one of the two")}
	case a.AccountHeader != "" && a.AccountPattern != "":
		return &optionError{"account_pattern", errors.New("applies to account only: give the pattern after the field of account_header")}
	}
	if _, err := compileWhole(a.AccountHeaderPattern); err != nil {
		return &optionError{"account_header", err}
	}
	if err := checkAccount(a.Account, a.AccountPattern); err != nil {
		return err
	}
	return checkErrors(a.Errors)
}

// accountFunc returns the function that finds the account of a request. The
// options must be valid.
func (a *Auth) accountFunc(ctx caddy.Context) (middleware.AccountFunc, error) {
	if a.AccountHeader != "" {
		pattern, err := compileWhole(a.AccountHeaderPattern)
		if err != nil {
			return nil, err
		}
		return middleware.FromHeader(a.AccountHeader, pattern)
	}
	account, err := newAccountRule(a.Account, a.AccountPattern)
	account.refuseRounded(ctx)
	return func(r *http.Request) (tokensource.Account, error) { return account.accountFor(replacerOf(r.Context())) }, err
}

// ServeHTTP passes the request on for its account, or answers a failure.
func (a *Auth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := checkRequest(r); err != nil {
		return a.answerError(w, r, err)
	}
	out, token, err := a.middleware.Admit(r)
	if err != nil {
		return a.answerError(w, r, err)
	}
	removeStripped(r.Header, out.Header)
	ctx := context.WithValue(out.Context(), clientKey{}, a.client.sharedClient)
	if a.Inject {
		token.SetAuthHeader(out.Header)
		ctx = tokensource.ContextWithForwardedToken(ctx, token)
	} else {
		out.Header = r.Header
	}
	setPlaceholders(r.Context(), token)
	*out = *out.WithContext(ctx) // Out is a copy already. This does not put another on the heap.
	if err := next.ServeHTTP(w, out); err != nil {
		return a.answerUnreachable(w, r, err)
	}
	return nil
}

// removeStripped removes Authorization from the original request, and the
// fields that are missing in the request that is passed on. Placeholders read
// the original request, which never contains the token.
func removeStripped(header, kept http.Header) {
	for name := range header {
		if _, ok := kept[name]; !ok || name == "Authorization" {
			delete(header, name)
		}
	}
}

// clientKey is the key of the shared client that a request was authenticated
// with, in its context.
type clientKey struct{}

// answerError answers a failed request, or returns an error for the error
// routes.
func (a *Auth) answerError(w http.ResponseWriter, r *http.Request, err error) error {
	switch {
	case clientGone(r.Context()):
		w.WriteHeader(statusClientGone) // For the access log, as reverse_proxy does.
		return nil
	case a.Errors == errorsHandle:
		return routeError(w, err)
	default:
		answer(w, r, middleware.ProblemOf(err))
		return nil
	}
}

func replacerOf(ctx context.Context) *caddy.Replacer {
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		return repl
	}
	return caddy.NewReplacer()
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Auth)(nil)
	_ caddyhttp.MiddlewareHandler = (*Auth)(nil)
)
