// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Verdict is the meaning of a 401. On this platform a 401 can mean that the
// token has expired or was revoked, that the token does not reach the account,
// or that a payment exceeds a limit. Another token helps only in the first
// case.
type Verdict string

// The verdicts.
const (
	// TokenRefused: the platform no longer accepts the token. The request was not
	// executed, or only reads. The Transport renews the token and replays the
	// request.
	TokenRefused Verdict = "token_refused"
	// AccountRefused: the token is valid, but not for this account or operation.
	AccountRefused Verdict = "account_refused"
	// RequestRefused: the platform refused the request for a business
	// reason. The 401 is the final response.
	RequestRefused Verdict = "request_refused"
	// Unrecognized: no rule knows the 401, and the request's method is not safe. A
	// 401 that could not be read is Unrecognized for every method. The request is
	// not replayed. The Transport may renew the token in the background, so that
	// after an early revocation the next request succeeds.
	Unrecognized Verdict = "unrecognized"
)

// A Refusal is a 401 and its verdict.
type Refusal struct {
	// Request is the caller's request. Do not read its body.
	Request *http.Request
	// Header is the header of the 401.
	Header http.Header
	// Body is the beginning of the decoded body: at most 64 KiB, as far as
	// it arrived within a second. It is not the whole body if Complete is
	// false.
	Body []byte
	// Complete means that Body is the whole body, and was decoded.
	Complete bool
	// TokenExpired means that the token had expired when the response
	// arrived.
	TokenExpired bool
	// Verdict is the verdict of this package's rules.
	Verdict Verdict

	hasUndeclaredEncoding bool // Body was in an encoding that Header does not name.
}

// copy returns a copy that shares no memory with the caller's response.
func (r *Refusal) copy() *Refusal {
	c := *r
	c.Header, c.Body = r.Header.Clone(), bytes.Clone(r.Body)
	return &c
}

// knownCodes are the error codes of documented 401 responses, in capitals.
// Source: Pismo's OpenAPI files, August 2026. The cases stand in
// passporttest.DocumentedCases.
var knownCodes = map[string]Verdict{
	"ERR9786":  TokenRefused,
	"EDPT0005": TokenRefused,
	"EBLT0005": TokenRefused,
	"EBLT0007": TokenRefused,
	"WONP0005": TokenRefused,
	"WONT0005": TokenRefused,
	"ESMG0401": TokenRefused,

	"WCAC0001": AccountRefused,
	"WEAM0009": AccountRefused,
	"WEAM0020": AccountRefused,
	"WRFO0010": AccountRefused,
	"WABL0002": AccountRefused,
	"WHIS0001": AccountRefused,
	"EBLT0006": AccountRefused,

	"WEAM0023":               RequestRefused, // the account cannot be debited
	"WEAM0024":               RequestRefused, // the account cannot be credited
	"BW0031":                 RequestRefused,
	"EUPI0120":               RequestRefused, // more than the account's limits
	"EPT0001":                RequestRefused, // user not found
	"RCAPI-DOMAIN-VIOLATION": RequestRefused,
	"EPDG0013":               RequestRefused, // a provider refused Pismo
}

// classify returns the verdict of the first rule that applies.
func (r *Refusal) classify() Verdict {
	a := r.parse()
	legible := r.isLegible()
	// 1. The platform states an error code.
	if verdict, ok := a.verdict(); ok {
		return verdict
	}
	// 2. The token has expired.
	if r.TokenExpired {
		return TokenRefused
	}
	// 3. The challenge states an error (RFC 6750, section 3.1).
	switch strings.ToLower(bearerError(r.Header.Values("WWW-Authenticate"))) {
	case "invalid_token":
		return TokenRefused
	case "insufficient_scope":
		return AccountRefused
	}
	// 4. A gateway answered, so no application saw the request.
	if legible && a.fromGateway && !r.hasUndeclaredEncoding {
		return TokenRefused
	}
	// 5. Anything else: a safe request may be sent twice.
	if legible && isSafe(r.Request.Method) {
		return TokenRefused
	}
	return Unrecognized
}

// isSafe reports whether a method only reads. TRACE does too, but the platform
// does not use it.
func isSafe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// isLegible reports whether the body is evidence: it is complete, and it is
// text. The empty body of a response to HEAD is no evidence: a response to GET
// might have had a body.
func (r *Refusal) isLegible() bool {
	if r.Request.Method == http.MethodHead && len(r.Body) == 0 {
		return false
	}
	return r.Complete && utf8.Valid(r.Body) && !bytes.ContainsFunc(r.Body, isControl)
}

// isControl reports whether r is a control character that text does not
// contain. Text in UTF-16 contains NUL. Compressed data contains many of them.
func isControl(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\f\r", r) }
