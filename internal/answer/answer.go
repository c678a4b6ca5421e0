// SPDX-License-Identifier: Apache-2.0

// Package answer decodes the bodies of the platform's answers, both of its
// token endpoint and of its resource endpoints.
//
// Gateways, CDNs and firewalls in front of the platform compress answers that
// should not be compressed. They name encodings that they have not used, and
// use encodings that they do not name. So the bytes of a body decide how it is
// decoded. The Content-Encoding decides only if the bytes do not.
package answer

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLayers is the number of nested encodings that are decoded. A limit is
// needed, since there are gzip streams that decode to themselves.
const maxLayers = 4

var byteOrderMark = []byte("\ufeff")

// Decode returns the text of a body: raw without its encodings, and without a
// byte order mark, which a reader may ignore (RFC 8259, section 8.1). It
// returns at most limit bytes. It decodes gzip and deflate, the latter with or
// without the frame of zlib (RFC 9110, section 8.4.1). It also decodes nested
// encodings.
//
// Decode also handles a wrong Content-Encoding. It returns plain text
// unchanged, whatever encoding h names. It decodes a body in gzip or zlib, even
// if h does not name the encoding; see [Undeclared]. It ignores bytes after the
// end of the compressed text. It returns any other body unchanged if h names no
// encoding.
//
// The result complete reports whether text is the whole text. It is false if
// the body breaks off, is damaged, is longer than limit, or has an encoding
// that Decode does not support, such as br or zstd. The result text is then the
// beginning of the text, as far as it could be decoded.
//
// Decode never panics. It does not change raw, but text may share its memory.
func Decode(h http.Header, raw []byte, limit int) (text []byte, complete bool) {
	text, _, complete = decode(h, raw, limit)
	return text, complete
}

// Undeclared reports whether [Decode] decodes a compression of raw that h does
// not name. Such an answer does not come from the platform's gateway, but from
// another server on the network path.
func Undeclared(h http.Header, raw []byte, limit int) bool {
	_, undeclared, _ := decode(h, raw, limit)
	return undeclared
}

func decode(h http.Header, raw []byte, limit int) (text []byte, undeclared, complete bool) {
	limit = max(limit, 0)
	named := codings(h)
	text = raw
	for range maxLayers {
		coding, decoded, whole := undo(text, named, limit+len(byteOrderMark))
		if coding == "" {
			text, complete = beginning(text, limit)
			return text, undeclared, complete
		}
		i := slices.Index(named, coding)
		undeclared = undeclared || i < 0
		if i >= 0 {
			named = slices.Delete(named, i, i+1)
		}
		if text = decoded; !whole {
			text, _ = beginning(text, limit)
			return text, undeclared, false
		}
	}
	return nil, undeclared, false
}

// undo decodes the outermost encoding of body. It returns the name of the
// encoding, the decoded bytes, and whether these are complete. The name is ""
// if body has no encoding.
func undo(body []byte, named []string, limit int) (coding string, decoded []byte, whole bool) {
	if isText(body) {
		return "", nil, true
	}
	if isGzip(body) {
		decoded, whole = gunzip(body, limit)
		return gzipCoding, decoded, whole
	}
	deflated := slices.Contains(named, deflateCoding)
	if decoded, whole = inflate(body, limit, deflated); whole || deflated {
		return deflateCoding, decoded, whole
	}
	if len(named) > 0 {
		return named[len(named)-1], nil, false
	}
	return "", nil, true
}

const (
	gzipCoding    = "gzip"
	deflateCoding = "deflate"
)

// codings returns the encodings that h names, from all fields and in the order
// in which they were applied. It leaves out names that do not name an encoding.
func codings(h http.Header) []string {
	var named []string
	for _, field := range h.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(field, ",") {
			coding, _, _ = strings.Cut(coding, ";") // No parameters are defined.
			coding = strings.ToLower(strings.Trim(coding, " \t\""))
			coding = strings.TrimPrefix(coding, "x-") // RFC 9110, section 8.4.1.3.
			if !isNone(coding) {
				named = append(named, coding)
			}
		}
	}
	return named
}

// isNone reports whether a name in Content-Encoding does not name an encoding.
// Some servers put the name of a character set, a media type or a transfer
// encoding there.
func isNone(coding string) bool {
	switch coding {
	case "", "identity", "none", "null", "plain", "text", "binary", "7bit", "8bit", "chunked", "aws-chunked", "ascii", "us-ascii", "latin1":
		return true
	}
	return strings.HasPrefix(coding, "utf") || strings.HasPrefix(coding, "iso-8859") ||
		strings.HasPrefix(coding, "windows-") || strings.Contains(coding, "/")
}

// isText reports whether body is plain text: UTF-8 without the control
// characters that do not occur in texts of gateways. A compressed stream is not
// plain text.
func isText(body []byte) bool {
	for len(body) > 0 {
		r, size := utf8.DecodeRune(body)
		if r == utf8.RuneError && size == 1 || r < ' ' && !strings.ContainsRune("\t\n\f\r", r) || r == 0x7f {
			return false
		}
		body = body[size:]
	}
	return true
}

// beginning returns at most limit bytes of body, without its byte order mark.
// It also reports whether it returned the whole body.
func beginning(body []byte, limit int) ([]byte, bool) {
	for bytes.HasPrefix(body, byteOrderMark) {
		body = body[len(byteOrderMark):]
	}
	return body[:min(len(body), limit)], len(body) <= limit
}
