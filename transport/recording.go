package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

// A recording is the body of a request that can be read once, made into one that
// can be sent again. It is read when the first sending reads it, and not before:
// no request waits for its upload before a connection is dialed.
//
// One goroutine reads the source, and then closes it, however many sendings read
// the recording: a base that has returned a 401 may still read the body while
// the replay reads it too (golang/go#51907). A source that blocks therefore does
// not hold up a caller whose context is done, as it does in net/http.
type recording struct {
	ctx    context.Context
	source io.ReadCloser
	length int // as announced

	mu          sync.Mutex
	content     []byte
	err         error         // what the source ended with; nil while it has not
	progress    chan struct{} // closed when content or err changes
	sourceTaken bool          // The source is being read, or is closed.
	sendings    int           // that have not closed the body
	finished    bool          // There will be no further sending.
}

var errBodyClosed = errors.New("pismoauth: read of a request's body that is closed")

// newRecording returns a recording of the body of req, whose length is known.
func newRecording(req *http.Request) *recording {
	return &recording{
		ctx:      req.Context(),
		source:   req.Body,
		length:   int(req.ContentLength),
		progress: make(chan struct{}),
	}
}

// open returns the content for a sending, from its beginning.
func (r *recording) open() (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendings++
	return &playback{recording: r, closed: make(chan struct{})}, nil
}

// isReplayable reports whether the content can be sent again: nothing was wrong with
// it so far.
func (r *recording) isReplayable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return (r.err == nil || r.err == io.EOF) && len(r.content) <= r.length //nolint:errorlint // As io.Copy compares.
}

// finish says that there will be no further sending.
func (r *recording) finish() {
	r.release(func() { r.finished = true })
}

// release changes something, and closes the source if nobody needs it any more.
// If the source is being read, it is closed by the goroutine that does so.
func (r *recording) release(change func()) {
	r.mu.Lock()
	change()
	unused := !r.sourceTaken && r.isAbandoned()
	r.sourceTaken = r.sourceTaken || unused
	r.mu.Unlock()
	if unused {
		_ = r.source.Close() // It was never read, so its error concerns nobody.
	}
}

// isAbandoned reports whether nobody reads the recording, now or later.
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
	_ = r.source.Close() // All of it was read, or its error is known.
}

// grow returns the memory that the source is read into. The end of content lies
// before it, so that those who read content do not see it change.
//
// One byte more than announced is read: the base has to see that a body is
// longer than its length says, as it would without us.
func (r *recording) grow() []byte {
	const chunk = 4 << 10
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.length + 1 - len(r.content)
	r.content = slices.Grow(r.content, min(left, chunk))
	free := r.content[len(r.content):cap(r.content)]
	return free[:min(left, len(free))]
}

// add adds n bytes that were read, and reports whether to go on.
func (r *recording) add(n int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content = r.content[:len(r.content)+n]
	switch {
	case err != nil:
		r.err = err
	case len(r.content) > r.length:
		r.err = io.EOF // The base fails because of the byte that is too many.
	case r.isAbandoned():
		r.err = errBodyClosed
	}
	close(r.progress)
	r.progress = make(chan struct{})
	return r.err == nil
}

// A playback is the body of one sending.
type playback struct {
	recording *recording
	closed    chan struct{}
	close     sync.Once
	offset    int
}

// Read reads what is recorded, and waits for what is not.
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

// recorded reads what is recorded. If that is nothing, it has the source be
// read, and returns what to wait for.
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

// Close says that this sending needs no more of the body.
func (p *playback) Close() error {
	p.close.Do(func() {
		close(p.closed)
		p.recording.release(func() { p.recording.sendings-- })
	})
	return nil
}
