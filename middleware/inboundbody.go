// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"io"
	"net/http"
	"net/http/httputil"
)

// An inboundBody is the body of an inbound request. It marks errors as errors
// of the client's request: otherwise they would look like the platform's. A
// body that ends early without an error is a mistake of the program, since a
// server returns an error then.
type inboundBody struct {
	io.ReadCloser
	left     int64       // bytes to come; negative if unknown
	trailer  http.Header // of the client's request; nil if there is none
	outgoing http.Header // the trailer of the forwarded request; nil if there is none
}

// passTrailer makes the proxy forward the trailer of the client's request. The
// ReverseProxy copies only the names of the fields, since their values arrive
// after the body.
func passTrailer(r *httputil.ProxyRequest) {
	if body, ok := r.In.Body.(*inboundBody); ok {
		body.outgoing = r.Out.Trailer
	}
}

var errBodyRead error = &misuseError{"the request's body is shorter than its ContentLength; " +
	"a handler that reads the body before the proxy does, such as a Bind of gin or echo, has to put it back"}

func (b *inboundBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	known := b.left >= 0
	b.left -= int64(n)
	switch {
	case err == nil:
	case err != io.EOF: //nolint:errorlint // io.Copy compares in this way: a wrapped EOF is an error.
		err = UnreadableBody(err)
	case known && b.left > 0:
		err = errBodyRead
	default:
		for name := range b.outgoing {
			b.outgoing[name] = b.trailer[name]
		}
	}
	return n, err
}
