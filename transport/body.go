package transport

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// A body is the content of a request that may have to be sent more than once.
// Each sending gets a reader of its own: the base may still read the one before
// when it has returned (golang/go#51907).
type body struct {
	ready io.ReadCloser                 // for the next sending, if it is there already
	get   func() (io.ReadCloser, error) // for all but the first; nil if there can be none
	empty bool
}

// newBody returns the body of req. One without GetBody, but of a known length
// up to limit, is read, and closed; everything else streams once, and is never
// buffered.
func newBody(req *http.Request, limit int64) (body, error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return body{ready: req.Body, get: req.GetBody, empty: true}, nil
	case req.GetBody != nil || req.ContentLength <= 0 || req.ContentLength > limit:
		return body{ready: req.Body, get: req.GetBody}, nil
	}
	content, err := readBody(req)
	if err != nil {
		return body{}, err
	}
	get := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	first, _ := get()
	return body{ready: first, get: get}, nil
}

// readBody reads the body of req and closes it. As in net/http, that goes on
// without a caller who leaves: who sends a request on for a client of its own
// must not have to wait for it.
func readBody(req *http.Request) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	// One byte more than announced: the base shall see a body that is too long
	// for what it is, as it would without us.
	content, limited := req.Body, io.LimitReader(req.Body, req.ContentLength+1)
	done := make(chan result, 1)
	go func() {
		read, err := io.ReadAll(limited)
		_ = content.Close() // All of it was read, or nobody is interested.
		done <- result{read, err}
	}()
	select {
	case r := <-done:
		return r.content, r.err
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// mayFail reports whether reading the body of a request that can be sent again
// may fail: all may that have a GetBody of their own, instead of the one that
// http.NewRequest gives to what is in memory.
func mayFail(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody == nil {
		return false // It is empty, or was read before it was sent.
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
func (b *body) replayable() bool { return b.empty || b.get != nil }

// rewind gets the content for another sending ready, and reports whether there
// is one.
func (b *body) rewind() bool {
	if !b.replayable() {
		return false
	}
	content, err := b.next()
	b.ready = content
	return err == nil
}

// next returns the content for the next sending.
func (b *body) next() (io.ReadCloser, error) {
	if content := b.ready; content != nil {
		b.ready = nil
		return content, nil
	}
	if b.empty {
		return http.NoBody, nil
	}
	return b.get()
}

// discard closes the content that was meant for a sending which will not be.
func (b *body) discard() {
	if b.ready != nil {
		_ = b.ready.Close() // It was never sent: nobody is interested.
		b.ready = nil
	}
}
