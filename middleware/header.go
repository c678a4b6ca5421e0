package middleware

import (
	"errors"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// FromHeader takes the account id from a header field, which must match pattern
// from beginning to end. It is for a header that something in front of this
// program sets, and takes from every client; where clients reach this program
// past it, each of them can act for every account.
//
// The field is removed, and with it the one that differs in underscores for
// hyphens, which other programs may take for the same. A request that has such
// a twin, or the field more than once, is refused.
//
// A name that no request can have, and a pattern that is nil, are faults. Each
// is reported, as a [*tokensource.ConfigError].
func FromHeader(name string, pattern *regexp.Regexp) (AccountFunc, error) {
	var faults []error
	if reason := fieldNameFault(name); reason != "" {
		faults = append(faults, &tokensource.ConfigError{Field: "FromHeader: name", Reason: reason})
	}
	if pattern == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "FromHeader: pattern", Reason: "is nil; say what an account id looks like, as [0-9]{1,19}"})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	// Leftmost-longest, so that an alternative which matches less does not hide
	// one that matches all.
	pattern = pattern.Copy() //nolint:staticcheck // SA1019: right where Longest is called on the copy.
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

// fieldNameFault returns why no request has a field of that name, or "". A field's
// name is a token (RFC 9110, section 5.6.2).
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

// matchesWhole reports whether value matches a pattern that prefers the longest
// match, from beginning to end.
func matchesWhole(pattern *regexp.Regexp, value string) bool {
	at := pattern.FindStringIndex(value)
	return at != nil && at[0] == 0 && at[1] == len(value)
}
