// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net/url"
	"strings"
)

// endpoint returns the host and the path of u, with * for each segment that is
// an id. So an endpoint is the same for all accounts.
func endpoint(u *url.URL) string {
	segments := strings.Split(u.Path, "/")
	for i, segment := range segments {
		if isID(segment) {
			segments[i] = "*"
		}
	}
	return strings.ToLower(u.Host) + strings.Join(segments, "/")
}

// isID reports whether a segment of a path is a number, a UUID, or at least 16
// hexadecimal digits. A UUID may have a prefix, as in TN-<uuid>.
func isID(segment string) bool {
	const longHex = 16
	digits, hex := 0, 0
	for i := range len(segment) {
		switch c := segment[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			hex++
		}
	}
	switch {
	case segment == "":
		return false
	case digits == len(segment):
		return true
	}
	return isUUID(segment) || digits > 0 && digits+hex == len(segment) && len(segment) >= longHex
}

// isUUID reports whether s ends in a UUID (RFC 9562, section 4).
func isUUID(s string) bool {
	const length = 36
	if len(s) < length {
		return false
	}
	for i, c := range []byte(s[len(s)-length:]) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
				return false
			}
		}
	}
	return true
}
