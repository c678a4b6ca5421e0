package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// An AccountFunc says for which account a request is. The request is a copy,
// whose header may be changed: what is removed there is not passed on.
//
// An error that is [ErrUnauthenticated] is answered 401, one that is
// [ErrVerifierUnavailable] 503, any other 403, as is the zero Account. The text
// of the error reaches nobody but an [ErrorHandler]. It must be safe for
// concurrent use.
type AccountFunc func(r *http.Request) (tokensource.Account, error)

// Fixed has every request act for one account. Whoever can reach the handler
// can act for it. The zero Account is a mistake of the program: each request is
// answered 500.
func Fixed(account tokensource.Account) AccountFunc {
	if account == (tokensource.Account{}) {
		err := misusef("Fixed has the zero Account; check the error of ParseAccountID, or use Organization")
		return func(*http.Request) (tokensource.Account, error) { return account, err }
	}
	return func(*http.Request) (tokensource.Account, error) { return account, nil }
}

// FromContext takes the account that the program's own authentication has put
// in the request's context, with tokensource.ContextWithAccount or, if a key is
// given, under that key: a [tokensource.Account], or the id of one as a string.
// It trusts whatever runs before it.
//
// A value that names no account, such as the zero Account or an empty string,
// is answered 403. No value at all, or one of another type, is a mistake of the
// program and answered 500, with a line in the log: the authentication in front
// either lets requests through that it has not authenticated, or keeps the
// account elsewhere. The Set of a gin.Context or an echo.Context, for one, does
// not reach the context of the request. An authentication that is optional
// answers 401 itself, or puts the zero Account there for 403.
func FromContext(key any) AccountFunc {
	if key == nil {
		missing := misusef("FromContext(nil): the request's context has no account; " +
			"the authentication in front has to use tokensource.ContextWithAccount, on every request that it lets through")
		return func(r *http.Request) (tokensource.Account, error) {
			account, ok := tokensource.AccountFromContext(r.Context())
			if !ok {
				return account, missing
			}
			return account, nil
		}
	}
	call := "FromContext(" + nameOf(key) + ")"
	missing := misusef("%s: the request's context has no value under that key; the authentication in front has to use "+
		"context.WithValue and Request.WithContext, on every request that it lets through (the Set of gin and echo does not do that)", call)
	return func(r *http.Request) (tokensource.Account, error) {
		switch value := r.Context().Value(key).(type) {
		case tokensource.Account:
			return value, nil
		case string:
			return parse(value)
		case nil:
			return tokensource.Account{}, missing
		default:
			return tokensource.Account{}, misusef("%s: the value in the request's context is of type %T; "+
				"it has to be a tokensource.Account, or an account id as a string", call, value)
		}
	}
}

// nameOf returns what tells a context key from others: its type or, as strings
// have all the same, its text.
func nameOf(key any) string {
	if text, ok := key.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%T", key)
}

// FromPath takes the account id from a wildcard of the pattern that the request
// matched, as in "/accounts/{accountID}/". The path is what the client says: it
// is safe only behind an authorization that has compared it with who the client
// is.
//
// It works with the ServeMux of net/http and with chi, behind whatever has
// matched the pattern: wrap the handlers of a mux, not the mux. A request whose
// pattern has no such wildcard, or that has matched none, is a mistake of the
// program and answered 500, with a line in the log that names the wildcard. The
// routers of gin, echo and gorilla/mux keep path values elsewhere: with them,
// use an [AccountFunc] of your own, or Request.SetPathValue.
func FromPath(wildcard string) AccountFunc {
	return func(r *http.Request) (tokensource.Account, error) {
		value := r.PathValue(wildcard)
		if value == "" && !hasWildcard(r.Pattern, wildcard) && !leavesOut(r.URL.Path, r.Pattern, wildcard) {
			return tokensource.Account{}, noWildcard(r.Pattern, wildcard)
		}
		return parse(value)
	}
}

// hasWildcard reports whether a pattern has a wildcard of that name, as
// net/http and chi write it: {name}, {name...}, {name:regexp} or, in chi, *.
func hasWildcard(pattern, name string) bool {
	if name == "*" {
		return strings.Contains(pattern, "*")
	}
	for _, end := range []string{"}", "...}", ":"} {
		if strings.Contains(pattern, "{"+name+end) {
			return true
		}
	}
	return false
}

// leavesOut reports whether a path has nothing where a pattern has a wildcard of
// that name as echo writes it: :name. echo sets the pattern of a request, but its
// path values only in echo.WrapHandler: without them, it is the program that has
// left the value out.
func leavesOut(path, pattern, name string) bool {
	segments := strings.Split(path, "/")
	for i, segment := range strings.Split(pattern, "/") {
		if segment == ":"+name {
			return i >= len(segments) || segments[i] == ""
		}
	}
	return false
}

func noWildcard(pattern, name string) error {
	if pattern == "" {
		return misusef("FromPath(%q): the request has matched no pattern; put it behind a pattern of http.ServeMux or chi "+
			"that has {%s}, or use an AccountFunc that asks your router", name, name)
	}
	if strings.Contains(pattern+"/", "/:"+name+"/") {
		return misusef("FromPath(%q): the router has matched %q, and has not set the path value; "+
			"use Request.SetPathValue, or an AccountFunc that asks your router", name, pattern)
	}
	return misusef("FromPath(%q): the pattern %q that the request has matched has no {%s}", name, pattern, name)
}

// parse returns the account with that id, which nothing but its canonical form
// names.
func parse(id string) (tokensource.Account, error) {
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		return account, errors.Join(ErrForbidden, err)
	}
	return account, nil
}
