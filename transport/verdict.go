package transport

import (
	"bytes"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Verdict says what a 401 means. On this platform it can mean that the token
// has expired or was revoked, that it reaches another account, or that a
// payment exceeds a limit; only the first is mended by another token.
type Verdict string

// The verdicts.
const (
	// TokenRefused: the token is no longer accepted. It is renewed, and the
	// request is replayed: it was not executed.
	TokenRefused Verdict = "token_refused"
	// AccountRefused: the token is good, but not for what was asked.
	AccountRefused Verdict = "account_refused"
	// RequestRefused: the platform refused the request for a reason of its
	// business. The 401 is an answer.
	RequestRefused Verdict = "request_refused"
	// Unrecognized: the 401 is of a kind not known, and the request's method is not
	// safe; or the 401 could not be read, whatever the method. The request is
	// not replayed. The token is renewed in the background, so that an early
	// revocation heals by the next request.
	Unrecognized Verdict = "unrecognized"
)

// A Refusal is a 401 on its way to a verdict.
type Refusal struct {
	// Request is the caller's. Its body has been sent.
	Request *http.Request
	// Header is that of the 401.
	Header http.Header
	// Body is the beginning of its body, decoded: at most 64 KiB, and what
	// arrived within a second. It is not the whole if Complete is false.
	Body []byte
	// Complete says that Body is all there was, and could be decoded.
	Complete bool
	// TokenExpired says that the token had expired by the time of the answer.
	TokenExpired bool
	// Verdict is what the rules came to.
	Verdict Verdict

	hasUndeclaredEncoding bool // Body was in an encoding that Header does not name.
}

// copy returns a copy that shares nothing with what goes to the caller.
func (r *Refusal) copy() *Refusal {
	c := *r
	c.Header, c.Body = r.Header.Clone(), bytes.Clone(r.Body)
	return &c
}

// knownCodes are the error codes of documented 401 answers, in capitals. Source:
// Pismo's OpenAPI files, August 2026; the cases stand in passporttest.Documented.
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

// classify comes to a verdict, by the first rule that applies.
func (r *Refusal) classify() Verdict {
	a := r.parse()
	legible := r.isLegible()
	// 1. The platform says what it is.
	if verdict, ok := a.verdict(); ok {
		return verdict
	}
	// 2. The token has expired: nothing else is to be expected.
	if r.TokenExpired {
		return TokenRefused
	}
	// 3. The challenge says what it is (RFC 6750, section 3.1).
	switch strings.ToLower(bearerError(r.Header.Values("WWW-Authenticate"))) {
	case "invalid_token":
		return TokenRefused
	case "insufficient_scope":
		return AccountRefused
	}
	// 4. A gateway's answer: it never got as far as the business.
	if legible && a.fromGateway && !r.hasUndeclaredEncoding {
		return TokenRefused
	}
	// 5. Anything else: asking twice harms nobody if it only asks.
	if legible && isSafe(r.Request.Method) {
		return TokenRefused
	}
	return Unrecognized
}

// isSafe reports whether a request with the method only asks. TRACE does too,
// but nobody asks the platform by it.
func isSafe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// isLegible reports whether the body is evidence: all of it is there, and it is
// text. The empty body of an answer to HEAD is not: nobody knows what an answer
// to GET would have said.
func (r *Refusal) isLegible() bool {
	if r.Request.Method == http.MethodHead && len(r.Body) == 0 {
		return false
	}
	return r.Complete && utf8.Valid(r.Body) && !bytes.ContainsFunc(r.Body, isControl)
}

// isControl reports whether no text has r. Text in UTF-16 has NUL, compressed
// text all of them.
func isControl(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\f\r", r) }
