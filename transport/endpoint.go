package transport

import (
	"net/url"
	"strings"
)

// endpoint returns the host and the path of u, with * for each segment that is
// an id: what refuses a token for one account is the same endpoint that refuses
// it for another.
func endpoint(u *url.URL) string {
	segments := strings.Split(u.Path, "/")
	for i, segment := range segments {
		if isID(segment) {
			segments[i] = "*"
		}
	}
	return strings.ToLower(u.Host) + strings.Join(segments, "/")
}

// isID reports whether a segment of a path is a number, a UUID, or 16 and more
// hexadecimal digits. A prefix as in TN-<uuid> does not matter.
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
