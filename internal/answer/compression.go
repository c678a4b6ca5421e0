// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// isGzip reports whether body begins with the signature of gzip (RFC 1952,
// section 2.3.1). A text cannot begin with it.
func isGzip(body []byte) bool { return bytes.HasPrefix(body, []byte{0x1f, 0x8b}) }

// gunzip returns at most limit decoded bytes of a gzip stream, and reports
// whether they are complete. A stream may have several members (RFC 1952,
// section 2.2). gunzip ignores bytes after the members.
func gunzip(body []byte, limit int) ([]byte, bool) {
	rest := bytes.NewReader(body) // gzip reads an io.ByteReader exactly to the end of the stream.
	unzip, err := gzip.NewReader(rest)
	if err != nil {
		return nil, false
	}
	var text []byte
	for {
		unzip.Multistream(false)
		member, whole := read(unzip, limit-len(text))
		text = append(text, member...)
		if !whole {
			return text, false
		}
		if !isGzip(body[len(body)-rest.Len():]) {
			return text, true
		}
		if err := unzip.Reset(rest); err != nil {
			return text, false
		}
	}
}

// inflate returns at most limit decoded bytes of a zlib stream (RFC 1950), and
// reports whether they are complete. If bare is true, it also decodes a stream
// without the frame of zlib (RFC 1951), since some servers name that "deflate".
// inflate ignores bytes after the stream.
func inflate(body []byte, limit int, bare bool) ([]byte, bool) {
	var text []byte
	if framed, err := zlib.NewReader(bytes.NewReader(body)); err == nil {
		var whole bool
		if text, whole = read(framed, limit); whole {
			return text, true
		}
	}
	if bare {
		if unframed, whole := read(flate.NewReader(bytes.NewReader(body)), limit); whole || text == nil {
			return unframed, whole
		}
	}
	return text, false
}

// read reads at most limit bytes, and reports whether they are complete.
func read(r io.Reader, limit int) ([]byte, bool) {
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(text) > limit {
		return text[:limit], false
	}
	return text, err == nil
}
