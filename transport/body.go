package transport

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// A body is the content of a request that may have to be sent more than once.
// Each sending gets a reader of its own: the base may still read the one before
// when it has returned (golang/go#51907).
type body struct {
	ready     io.ReadCloser                 // for the next sending, if it is there already
	get       func() (io.ReadCloser, error) // for others; nil if there can be none
	recording *recording                    // behind get; or nil
	empty     bool
}

// newBody returns the body of req. One without GetBody, but of a known length
// up to limit, is recorded while it is sent. Everything else streams once, and is
// never buffered. So does the body of a request that announces a trailer: whoever
// reads the body sets the trailer, while another sending would read it. An empty
// Trailer announces none. Caddy's reverse_proxy makes one for every request with
// a body, and [exchange.outgoing] leaves it out.
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

// mayFail reports whether reading the body of a request that can be sent again
// may fail like a connection. It can if the caller set GetBody, and fetches the
// body from elsewhere. The one that http.NewRequest sets for what is in memory
// cannot fail, and a recording has an error of its own.
func mayFail(req *http.Request) bool {
	if !hasBody(req) || req.GetBody == nil {
		return false
	}
	closer := reflect.ValueOf(req.Body) // What io.NopCloser returns, which has no name.
	if closer.Type().PkgPath() != "io" || closer.Kind() != reflect.Struct || closer.NumField() != 1 {
		return true
	}
	switch closer.Field(0).Interface().(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return false
	}
	return true
}

// replayable reports whether the body can be sent another time.
func (b *body) replayable() bool {
	return b.empty || b.get != nil && (b.recording == nil || b.recording.isReplayable())
}

// rewind gets the content for another sending ready, and reports whether there
// is one.
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

// next returns the content for the next sending.
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

// finish closes what will not be sent any more. The base closes what it was
// given.
func (b *body) finish() {
	if b.ready != nil {
		_ = b.ready.Close() // It was never sent, so its error concerns nobody.
		b.ready = nil
	}
	if b.recording != nil {
		b.recording.finish()
	}
}
