package answer

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// isGzip reports whether body begins as every gzip stream does (RFC 1952,
// section 2.3.1): no text does.
func isGzip(body []byte) bool { return bytes.HasPrefix(body, []byte{0x1f, 0x8b}) }

// gunzip returns what is in a gzip stream, at most limit bytes of it, and
// whether that is all. A stream may have several members (RFC 1952, section
// 2.2). What follows them and is no member is ignored.
func gunzip(body []byte, limit int) ([]byte, bool) {
	rest := bytes.NewReader(body) // An io.ByteReader, of which no byte too many is read.
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

// inflate returns what is in a stream in the format of zlib (RFC 1950), at most
// limit bytes of it, and whether that is all. Bare says that the stream may
// also be one of RFC 1951, without a frame: some servers take "deflate" for
// that. What follows the stream is ignored.
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

// read reads limit bytes at most, and reports whether that is all there is.
func read(r io.Reader, limit int) ([]byte, bool) {
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(text) > limit {
		return text[:limit], false
	}
	return text, err == nil
}
