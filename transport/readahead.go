package transport

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An ahead is the body of a response of which the beginning is read before
// anybody asks for it. Reading it gives the beginning, and then the rest.
type ahead struct {
	body  io.ReadCloser
	limit int

	mu      sync.Mutex
	content []byte
	err     error // what body ended with; nil while it has not
	enough  bool  // No more is read ahead.
	offset  int   // how much of content the reader has

	left   chan struct{} // closed when nothing is read ahead any more
	closed chan struct{}
	close  sync.Once
}

// readAhead begins to read a body, and stops at limit bytes. Closing what it
// returns ends that, too.
func readAhead(body io.ReadCloser, limit int) *ahead {
	a := &ahead{body: body, limit: limit, left: make(chan struct{}), closed: make(chan struct{})}
	go a.run()
	return a
}

func (a *ahead) run() {
	defer close(a.left)
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
func (a *ahead) add(read []byte, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.content = append(a.content, read...)
	a.err = err
	return err != nil || a.enough
}

// wait waits for the beginning, but no longer than patience. It returns what
// there is then, and whether that is the whole body. Nothing more is read ahead
// from then on, but for a Read that has not returned.
func (a *ahead) wait(ctx context.Context, patience time.Duration) (content []byte, whole bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-a.left:
	case <-timer.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.enough = true
	return slices.Clip(a.content), a.err == io.EOF //nolint:errorlint // As io.ReadAll compares.
}

// Read reads what was read ahead, and then the rest.
func (a *ahead) Read(b []byte) (int, error) {
	if n := a.take(b); n > 0 {
		return n, nil
	}
	select {
	case <-a.left:
	case <-a.closed:
		return 0, http.ErrBodyReadAfterClose
	}
	if n := a.take(b); n > 0 {
		return n, nil
	}
	if a.err != nil { // Nobody writes it any more.
		return 0, a.err
	}
	return a.body.Read(b)
}

func (a *ahead) take(b []byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := copy(b, a.content[a.offset:])
	a.offset += n
	return n
}

// Close closes the body.
func (a *ahead) Close() error {
	a.close.Do(func() { close(a.closed) })
	return a.body.Close()
}

// drain reads the rest of a body and closes it, so that its connection can be
// used again. A body that does not end within the limits costs the connection.
func drain(ctx context.Context, body io.ReadCloser, patience time.Duration) {
	if body != http.NoBody {
		readAhead(body, maxRefusal).wait(ctx, patience)
	}
	_ = body.Close() // Nobody wants it.
}
