// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// A body is the content of a request that may be sent more than once. Each send
// gets a reader of its own, because the base may read the previous reader after
// it has returned (golang/go#51907).
type body struct {
	ready     io.ReadCloser                 // for the next send, or nil
	get       func() (io.ReadCloser, error) // for further sends; nil if the body cannot be sent again
	recording *recording                    // the recording that get reads, or nil
	empty     bool
}

// newBody returns the body of req. A body without GetBody is recorded while it
// is sent if its length is known and at most limit. Every other body streams
// once, and is never buffered. So does the body of a request that announces a
// trailer: the reader of the body sets the trailer, while another sending would
// read it. An empty Trailer announces none. Caddy's reverse_proxy makes one for
// every request with a body, and [exchange.outgoing] leaves it out.
func newBody(req *http.Request, limit int64) body {
	switch {
	case !hasBody(req):
		return body{ready: req.Body, empty: true}
	case req.GetBody != nil || req.ContentLength <= 0 || req.ContentLength > limit || len(req.Trailer) > 0:
		return body{ready: req.Body, get: req.GetBody}
	}
	r := newRecording(req)
	return body{get: r.open, recording: r}
}

// mayFail reports whether reading the body of a repeatable request may fail
// like a connection. It can if the caller set GetBody, which may fetch the body
// from elsewhere. The GetBody that http.NewRequest sets for bodies in memory
// cannot fail. A recording has its own error.
func mayFail(req *http.Request) bool {
	if !hasBody(req) || req.GetBody == nil {
		return false
	}
	closer := reflect.ValueOf(req.Body) // io.NopCloser returns an unexported type.
	if closer.Type().PkgPath() != "io" || closer.Kind() != reflect.Struct || closer.NumField() != 1 {
		return true
	}
	switch closer.Field(0).Interface().(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return false
	}
	return true
}

// replayable reports whether the body can be sent again.
func (b *body) replayable() bool {
	return b.empty || b.get != nil && (b.recording == nil || b.recording.isReplayable())
}

// rewind prepares the content for another send, and reports whether it
// succeeded.
func (b *body) rewind() bool {
	if !b.replayable() {
		return false
	}
	content, err := b.next()
	if err != nil {
		return false
	}
	b.ready = content
	return true
}

// next returns the content for the next send.
func (b *body) next() (io.ReadCloser, error) {
	if b.empty {
		return b.ready, nil
	}
	if content := b.ready; content != nil {
		b.ready = nil
		return content, nil
	}
	return b.get()
}

// finish closes the content that will not be sent. The base closes the content
// that it was given.
func (b *body) finish() {
	if b.ready != nil {
		_ = b.ready.Close() // The content was never sent, so its error does not matter.
		b.ready = nil
	}
	if b.recording != nil {
		b.recording.finish()
	}
}
