// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/pismoauth/pismoauth/tokensource"
)

// An AccountFunc returns the account of a request. The request is a copy, and
// the function may change its header: a field that the function removes is not
// passed on.
//
// An error that is or wraps an [AuthError] gets the status of that AuthError:
// for example, [ErrUnauthenticated] is answered 401, and
// [ErrVerifierUnavailable] 503. Any other error is answered 403, and so is the
// zero Account. The text of the error reaches the [ErrorHandler] only. An
// AccountFunc must be safe for concurrent use.
type AccountFunc func(r *http.Request) (tokensource.Account, error)

// FixedAccount returns an AccountFunc that returns account for every request.
// Every client that can reach the handler can act for the account. The zero
// Account is a mistake of the program: each request is answered 500.
func FixedAccount(account tokensource.Account) AccountFunc {
	if account == (tokensource.Account{}) {
		err := misusef("FixedAccount has the zero Account; check the error of ParseAccountID, or use Organization")
		return func(*http.Request) (tokensource.Account, error) { return account, err }
	}
	return func(*http.Request) (tokensource.Account, error) { return account, nil }
}

// FromContext returns an AccountFunc that takes the account from the request's
// context. The program's own authentication has put it there. With a nil key,
// the account is that of tokensource.ContextWithAccount. With another key, the
// value under that key is a [tokensource.Account], or an account id as a
// string. FromContext trusts all handlers that run before it.
//
// A value that names no account, such as the zero Account or an empty string,
// is answered 403. A missing value or a value of another type is a mistake of
// the program. It is answered 500, and the log has a line. Either the
// authentication in front passes on requests that it has not authenticated, or
// it keeps the account elsewhere. For example, the method Set of gin.Context
// and of echo.Context does not change the context of the request. If
// authentication is optional, it must answer 401 itself, or put the zero
// Account into the context for a 403.
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
	call := "FromContext(" + keyName(key) + ")"
	missing := misusef("%s: the request's context has no value under that key; the authentication in front has to use "+
		"context.WithValue and Request.WithContext, on every request that it lets through (the Set of gin and echo does not do that)", call)
	return func(r *http.Request) (tokensource.Account, error) {
		switch value := r.Context().Value(key).(type) {
		case tokensource.Account:
			return value, nil
		case string:
			return parseAccount(value)
		case nil:
			return tokensource.Account{}, missing
		default:
			return tokensource.Account{}, misusef("%s: the value in the request's context is of type %T; "+
				"it has to be a tokensource.Account, or an account id as a string", call, value)
		}
	}
}

// keyName returns a name that distinguishes a context key from others: the text
// of a string, or the type of another key.
func keyName(key any) string {
	if text, ok := key.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%T", key)
}

// parseAccount returns the account with that id. The id must be in canonical
// form.
func parseAccount(id string) (tokensource.Account, error) {
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		return account, errors.Join(ErrForbidden, err)
	}
	return account, nil
}
