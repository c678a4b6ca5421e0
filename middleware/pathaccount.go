// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"net/http"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// FromPath returns an AccountFunc that takes the account id from a wildcard of
// the pattern that the request matched, as in "/accounts/{accountID}/". The
// client chooses the path. FromPath is safe only behind an authorization that
// has checked that the client may act for the account in the path.
//
// It works with the ServeMux of net/http and with chi. Wrap the handlers of the
// mux, not the mux: the pattern must be matched before. A request that matched
// no pattern, or a pattern without the wildcard, is a mistake of the program.
// It is answered 500, and the log has a line that names the wildcard. The
// routers of gin, echo and gorilla/mux keep path values elsewhere. With them,
// use an [AccountFunc] of your own, or Request.SetPathValue.
func FromPath(wildcard string) AccountFunc {
	return func(r *http.Request) (tokensource.Account, error) {
		value := r.PathValue(wildcard)
		if value == "" && !hasWildcard(r.Pattern, wildcard) && !leavesOut(r.URL.Path, r.Pattern, wildcard) {
			return tokensource.Account{}, noWildcard(r.Pattern, wildcard)
		}
		return parseAccount(value)
	}
}

// hasWildcard reports whether a pattern has a wildcard of that name in the
// notation of net/http or chi: {name}, {name...}, {name:regexp} or, in chi, *.
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

// leavesOut reports whether the pattern has the wildcard :name, as in echo, and
// the path has an empty segment or none in that place. Then the client has left
// the value out. If the path has the segment, the program has left out the path
// value: echo sets the pattern of each request, but sets path values only in
// echo.WrapHandler.
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
		return misusef("FromPath(%q): the request has matched no pattern; put the handler behind a pattern of "+
			"http.ServeMux or chi that has {%s}, or use an AccountFunc that asks your router", name, name)
	}
	if strings.Contains(pattern+"/", "/:"+name+"/") {
		return misusef("FromPath(%q): the router has matched %q, and has not set the path value; "+
			"use Request.SetPathValue, or an AccountFunc that asks your router", name, pattern)
	}
	return misusef("FromPath(%q): the request has matched the pattern %q, which has no {%s}; "+
		"add the wildcard to the pattern", name, pattern, name)
}
