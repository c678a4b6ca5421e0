package transport

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A prefetchedBody is the body of a response of which the beginning is read before
// anybody asks for it. Reading it gives the beginning, and then the rest.
type prefetchedBody struct {
	body  io.ReadCloser
	limit int

	mu      sync.Mutex
	content []byte
	err     error // what body ended with; nil while it has not
	stopped bool  // No more is read ahead.
	offset  int   // how much of content the reader has

	prefetched chan struct{} // closed when nothing is read ahead any more
	closed     chan struct{}
	close      sync.Once
}

// prefetch begins to read a body, and stops at limit bytes. Closing what it
// returns ends that, too.
func prefetch(body io.ReadCloser, limit int) *prefetchedBody {
	a := &prefetchedBody{body: body, limit: limit, prefetched: make(chan struct{}), closed: make(chan struct{})}
	go a.prefetch()
	return a
}

func (a *prefetchedBody) prefetch() {
	defer close(a.prefetched)
	buffer := make([]byte, min(a.limit, 4<<10))
	for rest := a.limit; rest > 0; {
		n, err := a.body.Read(buffer[:min(rest, len(buffer))])
		rest -= n
		if a.add(buffer[:n], err) {
			return
		}
	}
}

// add adds what was read, and reports whether it is enough.
func (a *prefetchedBody) add(read []byte, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.content = append(a.content, read...)
	a.err = err
	return err != nil || a.stopped
}

// wait waits for the beginning, but no longer than patience. It returns what
// there is then, and whether that is the whole body. Nothing more is read ahead
// from then on, but for a Read that has not returned.
func (a *prefetchedBody) wait(ctx context.Context, patience time.Duration) (content []byte, whole bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-a.prefetched:
	case <-timer.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	return slices.Clip(a.content), a.err == io.EOF //nolint:errorlint // As io.ReadAll compares.
}

// Read reads what was read ahead, and then the rest.
func (a *prefetchedBody) Read(b []byte) (int, error) {
	if n := a.readPrefetched(b); n > 0 {
		return n, nil
	}
	select {
	case <-a.prefetched:
	case <-a.closed:
		return 0, http.ErrBodyReadAfterClose
	}
	if n := a.readPrefetched(b); n > 0 {
		return n, nil
	}
	if a.err != nil { // Nobody writes it any more.
		return 0, a.err
	}
	return a.body.Read(b)
}

func (a *prefetchedBody) readPrefetched(b []byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := copy(b, a.content[a.offset:])
	a.offset += n
	return n
}

// Close closes the body.
func (a *prefetchedBody) Close() error {
	a.close.Do(func() { close(a.closed) })
	return a.body.Close()
}

// drain reads the rest of a body and closes it, so that its connection can be
// used again. A body that does not end within the limits costs the connection.
func drain(ctx context.Context, body io.ReadCloser, patience time.Duration) {
	if body != http.NoBody {
		prefetch(body, maxRefusal).wait(ctx, patience)
	}
	_ = body.Close() // Nobody wants it.
}
