package transport

import (
	"bytes"
	"io"
	"net/http"
)

// A body is the content of a request that may have to be sent more than once.
// Each sending gets a reader of its own: the base may still read the one before
// when it has returned (golang/go#51907).
type body struct {
	first io.ReadCloser                 // for the first sending, then nil
	get   func() (io.ReadCloser, error) // for all others; nil if there can be none
	empty bool
}

// newBody returns the body of req. One without GetBody, but of a known length
// up to limit, is read; everything else streams once, and is never buffered.
// If it fails, the caller has to close the request's body.
func newBody(req *http.Request, limit int64) (body, error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return body{first: req.Body, get: req.GetBody, empty: true}, nil
	case req.GetBody != nil || req.ContentLength <= 0 || req.ContentLength > limit:
		return body{first: req.Body, get: req.GetBody}, nil
	}
	// One byte more than announced: the base shall see a body that is too long
	// for what it is, as it would without us.
	content, err := io.ReadAll(io.LimitReader(req.Body, req.ContentLength+1))
	if err != nil {
		return body{}, err
	}
	closeBody(req)
	get := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	first, _ := get()
	return body{first: first, get: get}, nil
}

// replayable reports whether the body can be sent another time.
func (b *body) replayable() bool { return b.empty || b.get != nil }

// next returns the content for the next sending.
func (b *body) next() (io.ReadCloser, error) {
	if content := b.first; content != nil {
		b.first = nil
		return content, nil
	}
	if b.empty {
		return http.NoBody, nil
	}
	return b.get()
}

// discard closes the content that was meant for a sending which will not be.
func (b *body) discard() {
	if b.first != nil {
		_ = b.first.Close() // It was never sent: nobody is interested.
		b.first = nil
	}
}
