// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

// A recording makes a request body that can be read once into a body that can
// be sent several times. It reads its source when the first send reads the
// recording. So a request does not wait for its upload before it dials.
//
// One goroutine reads the source and then closes it, however many sends read
// the recording. A base that has returned a 401 may still read the body while
// the replay reads it too (golang/go#51907). If the source blocks, a caller
// whose context is done does not wait for it. With net/http alone it would
// wait.
type recording struct {
	ctx    context.Context
	source io.ReadCloser
	length int // the request's ContentLength

	mu          sync.Mutex
	content     []byte
	err         error         // the error or io.EOF of the source; nil before its end
	progress    chan struct{} // closed when content or err changes
	sourceTaken bool          // The source is being read, or is closed.
	sendings    int           // number of sends that have not closed the body
	finished    bool          // No further send follows.
}

var errBodyClosed = errors.New("pismoauth: read of a closed request body")

// newRecording returns a recording of the body of req, whose length is known.
func newRecording(req *http.Request) *recording {
	return &recording{
		ctx:      req.Context(),
		source:   req.Body,
		length:   int(req.ContentLength),
		progress: make(chan struct{}),
	}
}

// open returns the content for a send, from its beginning.
func (r *recording) open() (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendings++
	return &playback{recording: r, closed: make(chan struct{})}, nil
}

// isReplayable reports whether the content can be sent again: no error has
// occurred, and it is not too long.
func (r *recording) isReplayable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return (r.err == nil || r.err == io.EOF) && len(r.content) <= r.length //nolint:errorlint // As io.Copy compares.
}

// finish records that no further send follows.
func (r *recording) finish() {
	r.release(func() { r.finished = true })
}

// release applies change, and closes the source if no send needs it any more.
// If a goroutine is reading the source, that goroutine closes it.
func (r *recording) release(change func()) {
	r.mu.Lock()
	change()
	unused := !r.sourceTaken && r.isAbandoned()
	r.sourceTaken = r.sourceTaken || unused
	r.mu.Unlock()
	if unused {
		_ = r.source.Close() // The source was never read, so its error does not matter.
	}
}

// isAbandoned reports whether the recording has no reader, now or later.
func (r *recording) isAbandoned() bool { return r.finished && r.sendings == 0 }

// read reads the source to its end, and closes it.
func (r *recording) read() {
	for {
		free := r.grow()
		n, err := r.source.Read(free)
		if !r.add(n, err) {
			break
		}
	}
	_ = r.source.Close() // The source has ended or its error is known.
}

// grow returns the memory for the next read of the source. That memory follows
// the end of content, so readers of content do not see it change.
//
// grow allows one byte more than the request's ContentLength, so that the base
// detects a body that is too long.
func (r *recording) grow() []byte {
	const chunk = 4 << 10
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.length + 1 - len(r.content)
	r.content = slices.Grow(r.content, min(left, chunk))
	free := r.content[len(r.content):cap(r.content)]
	return free[:min(left, len(free))]
}

// add appends n bytes that were read, and reports whether to go on.
func (r *recording) add(n int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content = r.content[:len(r.content)+n]
	switch {
	case err != nil:
		r.err = err
	case len(r.content) > r.length:
		r.err = io.EOF // The excess byte makes the base fail.
	case r.isAbandoned():
		r.err = errBodyClosed
	}
	close(r.progress)
	r.progress = make(chan struct{})
	return r.err == nil
}

// A playback is the body of one send.
type playback struct {
	recording *recording
	closed    chan struct{}
	close     sync.Once
	offset    int
}

// Read returns recorded bytes, and waits for bytes that are not yet recorded.
func (p *playback) Read(b []byte) (int, error) {
	r := p.recording
	for {
		n, progress, err := p.recorded(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		select {
		case <-progress:
		case <-p.closed:
			return 0, errBodyClosed
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
}

// recorded copies recorded bytes into b. If there are none, it starts the
// reading of the source, and returns the channel to wait for.
func (p *playback) recorded(b []byte) (n int, progress <-chan struct{}, err error) {
	r := p.recording
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-p.closed:
		return 0, nil, errBodyClosed
	default:
	}
	if n = copy(b, r.content[p.offset:]); n > 0 {
		p.offset += n
		return n, nil, nil
	}
	if r.err == nil && !r.sourceTaken {
		r.sourceTaken = true
		go r.read()
	}
	return 0, r.progress, r.err
}

// Close records that this send needs no more of the body.
func (p *playback) Close() error {
	p.close.Do(func() {
		close(p.closed)
		p.recording.release(func() { p.recording.sendings-- })
	})
	return nil
}
