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

// Auth finds out for which account a request is, makes sure that a token can be
// had for it, and has a later `reverse_proxy` with `transport pismo` act for
// that account. The client's own Authorization is dropped. Requests without an
// account, or for which no token can be had, are answered with problem details
// (RFC 9457), and go no further.
//
// Put it behind what authenticates the client: whoever chooses the account
// chooses whose money moves.
//
// The directive `pismo_proxy` writes this handler and the `reverse_proxy`
// behind it, and is what most Caddyfiles need:
//
//	pismo_proxy https://sandbox.pismolabs.io {
//		account {account}
//	}
//
// Write them apart where other handlers stand between them, which are to run
// only if there is a token:
//
//	pismo_auth {
//		account {account}
//	}
//	reverse_proxy https://sandbox.pismolabs.io {
//		transport pismo
//	}
//
// It sets these placeholders:
//
// Placeholder | Description
// ------------|-------------
// `{http.pismo.account.kind}` | `account` or `organization`
// `{http.pismo.token.serial}` | The number of the token in this process
// `{http.pismo.token.expires_in}` | The seconds until the token expires
type Auth struct {
	// The name of the client, as the app `pismo` has it. Default: the only
	// one there is.
	Client string `json:"client,omitempty"`

	// The account: a placeholder whose value is the account's id, such as
	// `{http.auth.user.id}` or one that `map` makes; the word `organization`, for
	// a token that reaches everything; or an account's id. There is no default.
	// Placeholders that hold what a client says are refused. A `map` or `vars`
	// made from such a placeholder is not detected: never do that. The
	// placeholders of a client certificate (`{http.request.tls.client.*}`) prove
	// something only where `client_auth` has a mode that verifies it. Where `map`
	// has ids of more than 15 digits, quote them: as numbers they lose their last
	// digits, and requests for them are refused.
	Account string `json:"account,omitempty"`

	// A regular expression that the whole value of the placeholder must match.
	// Otherwise the request is refused with 403.
	AccountPattern string `json:"account_pattern,omitempty"`

	// A header field that names the account. Use it instead of `account`, never
	// with it. It is for a field that a server in front of Caddy sets, and removes
	// from every client's request. A client that can reach Caddy without that
	// server can act for every account. The field never reaches the upstream. A
	// request is refused with 403 if it has the field twice, or a field whose name
	// differs only in `_` for `-`.
	AccountHeader string `json:"account_header,omitempty"`

	// A regular expression that the whole value of that field must match. Required
	// with `account_header`.
	AccountHeaderPattern string `json:"account_header_pattern,omitempty"`

	// How failures are answered that are not the platform's own answers: no
	// account, no token, no reachable upstream. Empty: problem details, but an
	// unreachable upstream goes to `handle_errors` where there is one. `handle`:
	// every failure goes to `handle_errors`.
	Errors string `json:"errors,omitempty"`

	// Sets the token in the request's Authorization, for handlers that are not
	// `reverse_proxy` with `transport pismo`. What they do with it is not
	// bound by the client's `hosts`, and the token is neither renewed nor the
	// request replayed when it is refused.
	Inject bool `json:"inject,omitempty"`

	client      *clientRef
	middleware  *middleware.Middleware
	logger      *zap.Logger
	errorRoutes bool // It stands in a subroute with error routes.
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
		Logger:  slog.New(slog.DiscardHandler), // The client's report has what there is to say.
	})
	return err
}

// validate returns what is wrong with the options.
func (a *Auth) validate() error {
	switch {
	case a.Account == "" && a.AccountHeader == "":
		return &optionError{"account", errors.New("is not set; give a placeholder such as {http.auth.user.id}, or the word organization")}
	case a.AccountHeader != "" && a.AccountHeaderPattern == "":
		return &optionError{"account_header", errors.New("has no pattern; say what an account's id looks like")}
	}
	return a.validatePartial()
}

// validatePartial returns what is wrong with the options that are set, whatever
// may follow.
func (a *Auth) validatePartial() error {
	switch {
	case a.Account != "" && a.AccountHeader != "":
		return &optionError{"account", errors.New("is set, and account_header too; only one can tell")}
	case a.AccountHeader != "" && a.AccountPattern != "":
		return &optionError{"account_pattern", errors.New("is for account; account_header has a pattern of its own")}
	}
	if _, err := compileWhole(a.AccountHeaderPattern); err != nil {
		return &optionError{"account_header", err}
	}
	if err := checkAccount(a.Account, a.AccountPattern); err != nil {
		return err
	}
	return checkErrors(a.Errors)
}

// accountFunc returns what finds the account of a request. The options are
// valid.
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

// ServeHTTP passes the request on for its account, or answers it.
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
	if err := next.ServeHTTP(w, out.WithContext(ctx)); err != nil {
		return a.answerUnreachable(w, r, err)
	}
	return nil
}

// removeStripped removes from the header of a request what is not in the one
// that it is passed on with, and its Authorization: placeholders are about the
// request that Caddy was sent. The token is never in it.
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

// answerError answers a request that failed, or leaves that to others.
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
