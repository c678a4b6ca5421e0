package base

import (
	"crypto/tls"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Connections are the connections of a client in generations: those of one
// generation can be given up together, without harm to the requests that are on
// their way over them. [http.Transport] alone cannot do that: it goes on to use
// an HTTP/2 connection for as long as there are requests on it.
//
// The zero Connections has none yet. Its methods are safe for concurrent use.
type Connections struct {
	mu      sync.Mutex
	current *Generation
}

// A Generation is a transport with its connections.
type Generation struct {
	transport *http.Transport
	borrowed  bool
	version   uint64
	retired   atomic.Bool
}

// Own returns a generation of the connections of a transport that nobody else
// uses.
func Own(t *http.Transport) *Generation { return &Generation{transport: t} }

// Borrow returns a generation of the connections of a transport that others may
// use. When it is retired, its connections stay as they are.
func Borrow(t *http.Transport) *Generation { return &Generation{transport: t, borrowed: true} }

// Current returns the generation that new requests go out over. It calls next
// for a generation, and retires the one before, if that has been retired or has
// a lower version. Next is given the transport before, nil for the first
// generation. It must not block.
func (c *Connections) Current(version uint64, next func(before *http.Transport) *Generation) *Generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.current
	switch {
	case before == nil:
		c.current = next(nil)
		c.current.version = version
	case before.retired.Load() || before.version < version:
		c.current = next(before.transport)
		c.current.version = max(version, before.version)
		before.Retire()
	}
	return c.current
}

// CloseIdleConnections closes the idle connections of the current generation.
// Those of earlier ones close by themselves.
func (c *Connections) CloseIdleConnections() {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if current != nil {
		current.transport.CloseIdleConnections()
	}
}

// Retire keeps new requests from going out over the generation. Its idle
// connections are closed at once, the others as soon as they are idle.
func (g *Generation) Retire() {
	g.retired.Store(true)
	g.finish()
}

// RoundTrip implements [http.RoundTripper].
func (g *Generation) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.transport.RoundTrip(req)
	if err != nil || resp.Body == nil || resp.Body == http.NoBody {
		g.finish()
		return resp, err
	}
	stream, ok := resp.Body.(io.Writer) // That of a 101.
	resp.Body = &body{resp.Body, g}
	if ok {
		resp.Body = struct {
			io.ReadCloser
			io.Writer
		}{resp.Body, stream}
	}
	return resp, nil
}

// finish closes the connection of a request that is over, if no other is to go
// out over it.
func (g *Generation) finish() {
	if g.retired.Load() && !g.borrowed {
		CloseIdle(g.transport)
	}
}

// settleTime is how long after the end of a request its connection is idle at the
// latest: an HTTP/2 stream that was cancelled is forgotten by another goroutine.
const settleTime = 100 * time.Millisecond

// CloseIdle closes the connections of t that are idle, or will be in a moment
// because the requests on them are over.
func CloseIdle(t interface{ CloseIdleConnections() }) {
	t.CloseIdleConnections()
	time.AfterFunc(settleTime, t.CloseIdleConnections)
}

// A body is one of a response. When it has been read or closed, the request is
// over.
type body struct {
	io.ReadCloser
	generation *Generation
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.generation.finish()
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.generation.finish()
	return err
}

// Clone returns a copy of t with connections of its own. It has a limit of 90
// seconds for idle ones where t has none: nobody else may close them.
func Clone(t *http.Transport) *http.Transport {
	clone := t.Clone()
	if clone.IdleConnTimeout == 0 {
		clone.IdleConnTimeout = 90 * time.Second
	}
	if clone.TLSNextProto["h2"] != nil {
		// An HTTP/2 transport that was added to t from outside, with
		// golang.org/x/net/http2, has a pool that the clone would share.
		clone.TLSNextProto, clone.ForceAttemptHTTP2 = nil, true
		if clone.HTTP2 == nil {
			clone.HTTP2 = pings()
		}
	}
	if config := clone.TLSClientConfig; config != nil {
		for _, protocol := range config.NextProtos {
			// Of a t that chose HTTP/2 by itself, before it had a TLSClientConfig.
			clone.ForceAttemptHTTP2 = clone.ForceAttemptHTTP2 || protocol == "h2"
		}
		if config.ClientSessionCache != nil {
			// Where a session is resumed, the server goes on seeing the client
			// certificate of the first handshake.
			config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		}
	}
	return clone
}
