// SPDX-License-Identifier: Apache-2.0

// Package requesttarget decides which request targets a proxy forwards.
package requesttarget

import (
	"encoding/hex"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Unambiguous reports whether every server reads the request target as the same
// path. The path of a route or of a proxy's target protects only if no later
// server reads another path.
//
// These targets are ambiguous:
//
//   - a URI without an authority, such as "x:https://evil.example/", which
//     net/url stores in Opaque and net/http sends unchanged;
//   - the "*" of OPTIONS;
//   - a path with a "." or ".." segment (RFC 3986, section 5.2.4), a control
//     character, or bytes that are not UTF-8, such as overlong forms of dots
//     and slashes.
//
// An encoded slash (an id may have one), an empty segment and a percent sign
// are unambiguous.
func Unambiguous(r *http.Request) bool {
	path := r.URL.Path
	if r.URL.Opaque != "" || r.RequestURI == "*" || path == "*" || strings.ContainsFunc(path, isControl) || !utf8.ValidString(path) {
		return false
	}
	// The path was decoded once. A CDN, a gateway and a service may each decode it
	// once more.
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
	return false // Only an attacker encodes a path that many times.
}

// maxDecodings bounds the work for a request.
const maxDecodings = 4

func isControl(c rune) bool { return c < 0x20 || c == 0x7f }

// hasDotSegment reports whether any server may find a "." or ".." segment in
// path. Some servers treat a backslash as a slash (WHATWG's URL parsing,
// Cloudflare's normalization). Some ignore the text after a semicolon
// (servlets), or spaces around a name (Windows). Some treat a character like
// another that Unicode calls compatible with it (the forms NFKC and NFKD). A
// server that decodes a path before it parses the path ends it at a question
// mark or a number sign.
func hasDotSegment(path string) bool {
	if strings.ContainsFunc(path, notASCII) {
		path = compatible.Replace(path)
	}
	if !strings.Contains(path, ".") {
		return false
	}
	for segment := range strings.FieldsFuncSeq(path, isSeparator) {
		if segment = strings.TrimSpace(segment); segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func isSeparator(c rune) bool { return strings.ContainsRune(`/\;?#`, c) }

func notASCII(c rune) bool { return c >= utf8.RuneSelf }

// compatible replaces the characters that Unicode calls compatible with those
// of dot segments. It also replaces the strokes that the code pages of Windows
// map to a slash. A name may contain these characters, but a name that consists
// of dots alone is suspect.
var compatible = strings.NewReplacer(
	"\u2024", ".", "\u2025", "..", "\ufe52", ".", "\uff0e", ".", "\uff61", ".",
	"\uff0f", "/", "\u2044", "/", "\u2215", "/", "\ufe68", `\`, "\uff3c", `\`, "\u2216", `\`,
	"\ufe54", ";", "\uff1b", ";", "\u037e", ";", "\ufe56", "?", "\uff1f", "?", "\ufe5f", "#", "\uff03", "#",
)

// unescape decodes the percent-encoded bytes of a path. Unlike
// url.PathUnescape, it keeps malformed encodings, as some servers do.
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
