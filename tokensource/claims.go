// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// readClaims returns the claims of a JWT without verifying it, or nil if the
// token is opaque. A token is opaque if it does not have three parts, or if its
// second part is not a JSON object. readClaims ignores the other parts.
func readClaims(token string) map[string]any {
	_, rest, _ := strings.Cut(token, ".")
	payloadText, signature, found := strings.Cut(rest, ".")
	if !found || strings.Contains(signature, ".") {
		return nil
	}
	payload, err := jwt.NewParser().DecodeSegment(normalized(payloadText))
	if err != nil {
		return nil
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if decoder.Decode(&claims) != nil {
		return nil
	}
	return claims
}

// normalized returns a segment of a JWT in the form of RFC 7515. Some gateways
// write padding, or the standard alphabet of base64.
func normalized(segment string) string {
	return strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(segment, "="))
}

// maxTime is the end of the year 9999 in seconds since 1970. Larger numbers are
// not times in seconds.
const maxTime = 253402300799

// timeClaim returns a claim in seconds since 1970. It returns false if the
// claim is absent or is not a time.
func timeClaim(claims map[string]any, name string) (float64, bool) {
	number, ok := claims[name].(json.Number)
	if !ok {
		return 0, false
	}
	seconds, err := number.Float64()
	return seconds, err == nil && seconds > 0 && seconds <= maxTime
}

// accountClaim returns a claim that names an account, as text, or "" if the
// claim is absent.
func accountClaim(claims map[string]any, name string) string {
	value, ok := claims[name]
	if !ok || value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// maxIDLength is the length of the longest text that is read as a number. A
// number of that many digits fits exactly into idPrecision bits.
const (
	maxIDLength = 64
	idPrecision = 256
)

// sameID reports whether two texts name the same account. 4711, 4711.0 and
// 4.711e3 do.
func sameID(named, id string) bool {
	if named == id {
		return true
	}
	a, aOK := integer(named)
	b, bOK := integer(id)
	return aOK && bOK && a.Cmp(b) == 0
}

// namesNone reports whether a text names no account: it is empty or zero.
func namesNone(named string) bool {
	if named == "" {
		return true
	}
	n, ok := integer(named)
	return ok && n.Sign() == 0
}

// integer returns the integer that a JSON number represents, in any notation.
func integer(text string) (*big.Float, bool) {
	if len(text) > maxIDLength || strings.ContainsFunc(text, notNumeric) {
		return nil, false
	}
	n, _, err := big.ParseFloat(text, 10, idPrecision, big.ToNearestEven)
	return n, err == nil && n.IsInt()
}

func notNumeric(c rune) bool { return !strings.ContainsRune("0123456789.eE+-", c) }
