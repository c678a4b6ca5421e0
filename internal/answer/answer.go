// Package answer reads the bodies of the platform's answers, those of its token
// endpoint and those of its resource endpoints.
//
// Gateways, CDNs and firewalls in front of the platform compress answers that
// nobody asked them to compress, name an encoding that they did not use, and
// use one that they do not name. So the bytes of a body decide how it is read;
// the Content-Encoding counts only where the bytes leave it open.
package answer

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLayers is how many encodings are undone, one inside of another. There are
// gzip streams that decode to themselves.
const maxLayers = 4

var byteOrderMark = []byte("\ufeff")

// Decode returns the text of a body: raw without its encodings and without a
// byte order mark, which RFC 8259, section 8.1, allows a reader to ignore. It
// returns limit bytes at most. It undoes gzip and deflate, the latter with and
// without the frame of zlib (RFC 9110, section 8.4.1), and several encodings
// inside of each other.
//
// A Content-Encoding that lies does no harm. A body that is plain text is read
// as plain text, whatever h names. A body in gzip or zlib is decoded, whether h
// names that or not; see [Undeclared] for who must know the difference. Bytes
// after the end of the compressed text are ignored. A body that is neither, and
// for which h names no encoding, is returned as it is.
//
// Complete says that text is all there is. It is false if the body breaks off,
// is damaged, is longer than limit, or has an encoding that Decode cannot undo,
// such as br or zstd. Text is then the beginning, as far as it could be read.
//
// Decode never panics. It changes nothing in raw, but text may share its memory.
func Decode(h http.Header, raw []byte, limit int) (text []byte, complete bool) {
	text, _, complete = decode(h, raw, limit)
	return text, complete
}

// Undeclared reports whether [Decode] undoes a compression of raw that h does
// not name. The platform's gateway does not answer so: what a browser would
// show as rubbish comes from something else in between.
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

// undo undoes the outermost encoding of body. It returns the name of that
// encoding, what was inside of it, and whether that is whole. The name is ""
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

// codings returns the encodings that h names, in the order in which they were
// applied: those of all fields, without those that are none.
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

// isNone reports whether what was named as an encoding encodes nothing: the
// names of character sets, media types and transfers end up there, too.
func isNone(coding string) bool {
	switch coding {
	case "", "identity", "none", "null", "plain", "text", "binary", "7bit", "8bit", "chunked", "aws-chunked", "ascii", "us-ascii", "latin1":
		return true
	}
	return strings.HasPrefix(coding, "utf") || strings.HasPrefix(coding, "iso-8859") ||
		strings.HasPrefix(coding, "windows-") || strings.Contains(coding, "/")
}

// isText reports whether body is plain text: UTF-8 without the control
// characters that no text of a gateway has. No compressed stream is.
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

// beginning returns body without its byte order mark, cut at limit, and whether
// nothing was cut off.
func beginning(body []byte, limit int) ([]byte, bool) {
	for bytes.HasPrefix(body, byteOrderMark) {
		body = body[len(byteOrderMark):]
	}
	return body[:min(len(body), limit)], len(body) <= limit
}
