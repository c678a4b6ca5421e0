package transport

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
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
	// Unclear: the 401 is of a kind not known, and the request's method is not
	// safe. It is not replayed; the token is renewed in the background, so
	// that an early revocation heals by the next request.
	Unclear Verdict = "unclear"
)

// A Refusal is a 401 on its way to a verdict.
type Refusal struct {
	// Request is the caller's. Its body has been sent.
	Request *http.Request
	// Header is that of the 401.
	Header http.Header
	// Body is the beginning of its body, decoded: at most 64 KiB. It is not
	// the whole if Complete is false.
	Body []byte
	// Complete says that Body is all there was, and could be decoded.
	Complete bool
	// TokenExpired says that the token had expired by the time of the answer.
	TokenExpired bool
	// Verdict is what the rules came to.
	Verdict Verdict
}

// knownCodes are the error codes of documented 401 answers. Source: Pismo's
// OpenAPI files, August 2026; the cases stand in passporttest.Documented.
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

// judge comes to a verdict, by the first rule that applies.
func (r *Refusal) judge() Verdict {
	answer := parseAnswer(r.Body, r.Complete)
	// 1. The platform says what it is.
	if verdict, ok := answer.verdict(); ok {
		return verdict
	}
	// 2. The token has expired: nothing else is to be expected.
	if r.TokenExpired {
		return TokenRefused
	}
	// 3. The challenge says what it is (RFC 6750, section 3.1).
	switch bearerError(r.Header.Values("WWW-Authenticate")) {
	case "invalid_token":
		return TokenRefused
	case "insufficient_scope":
		return AccountRefused
	}
	// 4. A gateway's answer: it never got as far as the business.
	if answer.gateway {
		return TokenRefused
	}
	// 5. Anything else: asking twice harms nobody if it only asks.
	switch r.Request.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return TokenRefused
	}
	return Unclear
}

// An answer is what a body of an error says, in whichever of the platform's
// forms: {code,message,details}, {error_code,message}, {message},
// {correlationId,errors[]}.
type answer struct {
	gateway bool // it is empty, or plain text, or a message and nothing else
	codes   []string
}

func parseAnswer(body []byte, complete bool) answer {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	switch {
	case !complete:
		return answer{}
	case !json.Valid(body):
		// JSON that breaks off is no plain text: it may have lost its code.
		return answer{gateway: !bytes.HasPrefix(body, []byte("{")) && !bytes.HasPrefix(body, []byte("["))}
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return answer{} // JSON, but not an object.
	}
	a := answer{codes: codes(fields)}
	var message string
	a.gateway = len(fields) == 1 && json.Unmarshal(fields["message"], &message) == nil
	var nested []json.RawMessage
	_ = json.Unmarshal(fields["errors"], &nested) // There may be none.
	for _, element := range nested {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(element, &fields) // It may be something else.
		a.codes = append(a.codes, codes(fields)...)
	}
	return a
}

// codes returns the error codes of an object. One that is a number is none that
// is known.
func codes(fields map[string]json.RawMessage) []string {
	var found []string
	for _, name := range []string{"code", "error_code"} {
		var code string
		if json.Unmarshal(fields[name], &code) == nil {
			found = append(found, code)
		}
	}
	return found
}

// verdict returns what the codes say, and whether they say anything. If they
// contradict each other, nothing is replayed.
func (a *answer) verdict() (verdict Verdict, ok bool) {
	for _, code := range a.codes {
		if known, ok := knownCodes[code]; ok && known != TokenRefused {
			return known, true
		} else if ok {
			verdict = known
		}
	}
	return verdict, verdict != ""
}

// bearerError returns the error of the Bearer challenge among the values of
// WWW-Authenticate, or "" (RFC 9110, section 11.6.1; RFC 6750, section 3).
func bearerError(challenges []string) string {
	for _, value := range challenges {
		bearer := false
		for _, part := range splitUnquoted(value) {
			if scheme, rest, ok := strings.Cut(part, " "); ok && !strings.ContainsAny(scheme, `="`) {
				if rest = strings.TrimSpace(rest); !strings.HasPrefix(rest, "=") { // "error = x" has no scheme.
					bearer = strings.EqualFold(scheme, "Bearer")
					part = rest
				}
			}
			name, value, _ := strings.Cut(part, "=")
			if bearer && strings.EqualFold(strings.TrimSpace(name), "error") {
				return strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	return ""
}

// splitUnquoted splits a list at the commas outside of quoted strings.
func splitUnquoted(list string) []string {
	var parts []string
	quoted, escaped, begin := false, false, 0
	for i := range len(list) {
		switch c := list[i]; {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts = append(parts, strings.TrimSpace(list[begin:i]))
			begin = i + 1
		}
	}
	return append(parts, strings.TrimSpace(list[begin:]))
}
