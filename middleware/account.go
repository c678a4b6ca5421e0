package middleware

import (
	"errors"
	"net/http"

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
// can act for it.
func Fixed(account tokensource.Account) AccountFunc {
	return func(*http.Request) (tokensource.Account, error) { return account, nil }
}

// FromContext takes the account that the program's own authentication has put
// in the request's context, with tokensource.ContextWithAccount or, if a key is
// given, under that key: a [tokensource.Account], or the id of one as a string.
// It trusts whatever runs before it.
func FromContext(key any) AccountFunc {
	return func(r *http.Request) (tokensource.Account, error) {
		if key == nil {
			account, _ := tokensource.AccountFromContext(r.Context())
			return account, nil
		}
		switch value := r.Context().Value(key).(type) {
		case tokensource.Account:
			return value, nil
		case string:
			return parse(value)
		default:
			return tokensource.Account{}, ErrForbidden
		}
	}
}

// FromPath takes the account id from a wildcard of the pattern that the request
// matched, as in "/accounts/{accountID}/". The path is what the client says: it
// is safe only behind an authorization that has compared it with who the client
// is. It finds nothing before the request was matched: wrap the handlers of a
// mux, not the mux.
func FromPath(wildcard string) AccountFunc {
	return func(r *http.Request) (tokensource.Account, error) { return parse(r.PathValue(wildcard)) }
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
