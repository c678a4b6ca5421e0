// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A prefetchedBody is the body of a response whose beginning is read ahead.
// Read returns the beginning, and then the rest.
type prefetchedBody struct {
	body  io.ReadCloser
	limit int

	mu      sync.Mutex
	content []byte
	err     error // the error or io.EOF of body; nil before its end
	stopped bool  // Reading ahead has stopped.
	offset  int   // the part of content that Read has returned

	prefetched chan struct{} // closed when reading ahead has ended
	closed     chan struct{}
	close      sync.Once
}

// prefetch begins to read a body, and stops after limit bytes. Close of the
// result also ends the reading.
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

// add appends the bytes that were read, and reports whether to stop.
func (a *prefetchedBody) add(read []byte, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.content = append(a.content, read...)
	a.err = err
	return err != nil || a.stopped
}

// wait waits for the beginning, but at most for patience. It returns the bytes
// that have arrived, and whether they are the whole body. Afterwards only a
// Read that has not returned still reads ahead.
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

// Read returns the bytes that were read ahead, and then the rest.
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
	if a.err != nil { // The goroutine that writes err has ended.
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
// used again. If the body does not end within the limits, the connection is
// closed.
func drain(ctx context.Context, body io.ReadCloser, patience time.Duration) {
	if body != http.NoBody {
		prefetch(body, maxRefusal).wait(ctx, patience)
	}
	_ = body.Close() // The body is discarded, so its error does not matter.
}
