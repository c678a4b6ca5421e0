// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// newHeader returns a copy of the request's header with room for a token. The
// values are shared, and clipped so that an append does not change the
// original. Credentials of the caller are an error.
func (x *exchange) newHeader() (http.Header, error) {
	header := make(http.Header, len(x.req.Header)+1)
	for name, values := range x.req.Header {
		switch {
		case isField(name, "Authorization"):
			if !x.admitted && !haveNoCredentials(values) && !x.isOwnToken(values) {
				return nil, ErrAuthorizationPresent
			}
		case isField(name, "Accept-Encoding"):
			header[name] = decodableEncodings(values)
		default:
			header[name] = slices.Clip(values)
		}
	}
	return header, nil
}

// isField reports whether a header's key is the name of a field, in any case.
// Programs that do not use the methods of http.Header can write a key in any
// case.
func isField(key, field string) bool {
	return len(key) == len(field) && key[0]|0x20 == field[0]|0x20 && strings.EqualFold(key, field)
}

// haveNoCredentials reports whether values of Authorization have no
// credentials. Clients generated from an OpenAPI file send an empty value, or a
// scheme alone, if the file declares the field.
func haveNoCredentials(values []string) bool {
	for _, value := range values {
		switch strings.ToLower(strings.Trim(value, " \t")) {
		case "", "bearer", "basic", "digest", "token":
		default:
			return false
		}
	}
	return true
}

// isOwnToken reports whether values of Authorization are a token of the Source:
// the token that the context carries, or the current token of the request's
// account, with or without a scheme. It issues no token.
func (x *exchange) isOwnToken(values []string) bool {
	ctx := x.req.Context()
	if token, ok := tokensource.ForwardedTokenFromContext(ctx); ok && token.IsIn(x.req.Header) {
		return true
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel() // A Source issues nothing for a canceled caller.
	token, err := x.transport.source.Token(ctx, x.account)
	return err == nil && len(values) == 1 && withoutScheme(values[0]) == token.Reveal()
}

// withoutTokens returns a copy of a header without the fields that carry a
// token. These are AuthorizationToken, which some operations of Pismo require,
// and Authorization, unless it has credentials of another scheme than Bearer.
func withoutTokens(header http.Header) http.Header {
	header = header.Clone()
	for name, values := range header {
		if isField(name, "AuthorizationToken") || isField(name, "Authorization") && !slices.ContainsFunc(values, isOfOtherScheme) {
			delete(header, name)
		}
	}
	return header
}

// isOfOtherScheme reports whether a value of Authorization has credentials of
// another scheme than Bearer. A token without a scheme has no space.
func isOfOtherScheme(value string) bool {
	return strings.Contains(strings.Trim(withoutScheme(value), " \t"), " ")
}

// withoutScheme returns a value of Authorization without the scheme Bearer, if
// it has that scheme. Some clients of Pismo send the token without a scheme.
func withoutScheme(value string) string {
	const scheme = "bearer "
	value = strings.Trim(value, " \t")
	if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
		return strings.TrimLeft(value[len(scheme):], " \t")
	}
	return value
}

// decodableEncodings returns values of Accept-Encoding without the encodings
// that this package cannot decode. A 401 in such an encoding would get no
// verdict. The other elements keep their order and their weights (RFC 9110,
// section 12.5.3).
func decodableEncodings(values []string) []string {
	if !slices.ContainsFunc(values, namesUndecodable) {
		return slices.Clip(values)
	}
	kept, wildcard := splitEncodings(values)
	switch {
	case wildcard == "":
	case isExcluded(wildcard):
		kept = append(kept, wildcard)
	default:
		kept = expandWildcard(kept, strings.TrimPrefix(wildcard, "*"))
	}
	if !slices.ContainsFunc(kept, isAcceptable) {
		return []string{"identity"}
	}
	return []string{strings.Join(kept, ", ")}
}

// splitEncodings returns the elements of Accept-Encoding that name a decodable
// encoding, and the element for all other encodings, or "".
func splitEncodings(values []string) (kept []string, wildcard string) {
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding = strings.Trim(coding, " \t")
		switch name := codingName(coding); {
		case name == "*":
			wildcard = coding
		case name != "" && isDecodable(name):
			kept = append(kept, coding)
		}
	}
	return kept, wildcard
}

// expandWildcard adds the decodable encodings that kept does not name, each
// with the given weight.
func expandWildcard(kept []string, weight string) []string {
	for _, name := range []string{"gzip", "deflate"} {
		isNamed := func(coding string) bool { return strings.TrimPrefix(codingName(coding), "x-") == name }
		if !slices.ContainsFunc(kept, isNamed) {
			kept = append(kept, name+weight)
		}
	}
	return kept
}

// namesUndecodable reports whether a value of Accept-Encoding names an encoding
// that this package cannot decode, or all encodings.
func namesUndecodable(value string) bool {
	for coding := range strings.SplitSeq(value, ",") {
		if !isDecodable(coding) && !isDecodable(codingName(coding)) {
			return true
		}
	}
	return false
}

// codingName returns the name in an element of Accept-Encoding, in lower case.
func codingName(coding string) string {
	name, _, _ := strings.Cut(coding, ";")
	return strings.ToLower(strings.Trim(name, " \t"))
}

// isDecodable reports whether this package can decode an encoding, or whether
// the list element is empty.
func isDecodable(name string) bool {
	return name == "" || name == "gzip" || name == "x-gzip" || name == "deflate" || name == "identity"
}

// isExcluded reports whether an encoding has the weight 0.
func isExcluded(coding string) bool {
	_, weight, _ := strings.Cut(strings.ToLower(coding), "q=")
	q, err := strconv.ParseFloat(strings.Trim(weight, " \t"), 64)
	return err == nil && q == 0
}

func isAcceptable(coding string) bool { return !isExcluded(coding) }
