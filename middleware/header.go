// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"errors"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// FromHeader returns an AccountFunc that takes the account id from a header
// field. The value must match pattern from beginning to end. FromHeader is for
// a field that a server in front of this program sets, and removes from the
// requests of clients. If a client can reach this program without passing that
// server, the client can act for every account.
//
// The function removes the field from the request. It also removes fields whose
// name differs only in underscores for hyphens: other programs may take them
// for the same field. A request that has such a field is answered 403, and so
// is a request that has the field more than once.
//
// FromHeader reports a name that no request can have, and a nil pattern. Each
// fault is a [*tokensource.ConfigError].
func FromHeader(name string, pattern *regexp.Regexp) (AccountFunc, error) {
	var faults []error
	if reason := fieldNameFault(name); reason != "" {
		faults = append(faults, &tokensource.ConfigError{Field: "FromHeader: name", Reason: reason})
	}
	if pattern == nil {
		faults = append(faults, &tokensource.ConfigError{
			Field: "FromHeader: pattern", Reason: "is nil; give the form of an account id, as [0-9]{1,19}",
		})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	// Prefer the longest match: otherwise an alternative that matches a part of
	// the value would hide an alternative that matches the whole.
	pattern = pattern.Copy() //nolint:staticcheck // SA1019: needed, since Longest changes the copy.
	pattern.Longest()
	return func(r *http.Request) (tokensource.Account, error) {
		values := r.Header[name]
		forged := false
		for other := range r.Header {
			if other != name && sameFieldName(other, name) {
				forged = true
				delete(r.Header, other)
			}
		}
		delete(r.Header, name)
		if forged || len(values) != 1 || !matchesWhole(pattern, values[0]) {
			return tokensource.Account{}, ErrForbidden
		}
		return parseAccount(values[0])
	}, nil
}

// fieldNameFault returns the reason why no request has a field of that name, or
// "". The name of a field is a token (RFC 9110, section 5.6.2).
func fieldNameFault(name string) string {
	if name == "" {
		return "is empty; name the header field that holds the account id"
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return "is not the name of a header field"
		}
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Host", "Trailer", "Transfer-Encoding":
		return "names a field that net/http keeps out of Request.Header"
	}
	return ""
}

// matchesWhole reports whether value matches pattern from beginning to end. The
// pattern must prefer the longest match.
func matchesWhole(pattern *regexp.Regexp, value string) bool {
	at := pattern.FindStringIndex(value)
	return at != nil && at[0] == 0 && at[1] == len(value)
}
