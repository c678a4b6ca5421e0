// Package requesttarget decides which request targets a proxy passes on.
package requesttarget

import (
	"encoding/hex"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Unambiguous reports whether the target of a request is a path that means the
// same to every server on its way. What a router has matched, and what the
// target of a proxy begins with, bounds a request only as long as nobody behind
// it sees another path.
//
// These targets are ambiguous: a URI without an authority, such as
// "x:https://evil.example/", which net/url keeps in Opaque and net/http sends as
// it is; the "*" of OPTIONS; and a path with a "." or ".." segment (RFC 3986,
// section 5.2.4), a control character or bytes that are not UTF-8, as the
// overlong forms of dots and slashes are. A slash that is encoded, as it may be
// in an id, an empty segment and a percent sign lead nowhere else.
func Unambiguous(r *http.Request) bool {
	path := r.URL.Path
	if r.URL.Opaque != "" || r.RequestURI == "*" || path == "*" || strings.ContainsFunc(path, control) || !utf8.ValidString(path) {
		return false
	}
	// The path has been decoded once. A CDN, a gateway and a service behind it
	// may each decode it once more.
	for range maxDecodings {
		if hasDotSegment(path) {
			return false
		}
		decoded := unescape(path)
		if decoded == path {
			return true
		}
		path = decoded
	}
	return false // Nobody encodes anything that often in good faith.
}

// maxDecodings bounds the work that a client can ask for.
const maxDecodings = 4

func control(c rune) bool { return c < 0x20 || c == 0x7f }

// hasDotSegment reports whether a path has a segment that is "." or "..", for
// any server: some take a backslash for a slash (WHATWG's URL parsing, and
// Cloudflare's normalization), some drop what follows a semicolon (servlets),
// some drop spaces around a name (Windows), some take a character that is
// compatible with one of these for it (Unicode's forms NFKC and NFKD), and one
// that decodes a path before it parses it ends it at a question mark or a number
// sign.
func hasDotSegment(path string) bool {
	if strings.ContainsFunc(path, notASCII) {
		path = compatible.Replace(path)
	}
	if !strings.Contains(path, ".") {
		return false
	}
	for segment := range strings.FieldsFuncSeq(path, endsSegment) {
		if segment = strings.TrimSpace(segment); segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func endsSegment(c rune) bool { return strings.ContainsRune(`/\;?#`, c) }

func notASCII(c rune) bool { return c >= utf8.RuneSelf }

// compatible replaces the characters that Unicode calls compatible with those of
// dot segments, and the strokes that the code pages of Windows map to a slash. A
// name may have them, but a name of dots alone has no other reason to.
var compatible = strings.NewReplacer(
	"\u2024", ".", "\u2025", "..", "\ufe52", ".", "\uff0e", ".", "\uff61", ".",
	"\uff0f", "/", "\u2044", "/", "\u2215", "/", "\ufe68", `\`, "\uff3c", `\`, "\u2216", `\`,
	"\ufe54", ";", "\uff1b", ";", "\u037e", ";", "\ufe56", "?", "\uff1f", "?", "\ufe5f", "#", "\uff03", "#",
)

// unescape decodes what is percent-encoded in a path. Unlike url.PathUnescape
// it leaves what is not well-formed as it is, because another server may.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var decoded strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := hex.DecodeString(path[i+1 : i+3]); err == nil {
				decoded.Write(c)
				i += 2
				continue
			}
		}
		decoded.WriteByte(path[i])
	}
	return decoded.String()
}
