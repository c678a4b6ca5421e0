// SPDX-License-Identifier: Apache-2.0

package base

import (
	"io"
	"net/http"
	"sync/atomic"
)

// A Generation is a transport with its connections.
type Generation struct {
	transport *http.Transport
	borrowed  bool
	version   uint64
	retired   atomic.Bool
}

// Own returns a generation with a transport that is used nowhere else.
func Own(t *http.Transport) *Generation { return &Generation{transport: t} }

// Borrow returns a generation with a transport that may have other users. Its
// retirement does not close connections.
func Borrow(t *http.Transport) *Generation { return &Generation{transport: t, borrowed: true} }

// Retire ensures that [Connections.Current] does not return the generation
// again. Its idle connections are closed at once, and its other connections as
// soon as they are idle.
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
	stream, ok := resp.Body.(io.Writer) // The body of a 101 is also a Writer.
	resp.Body = &body{resp.Body, g}
	if ok {
		resp.Body = struct {
			io.ReadCloser
			io.Writer
		}{resp.Body, stream}
	}
	return resp, nil
}

// finish closes the connection of a finished request, if the generation has
// been retired.
func (g *Generation) finish() {
	if g.retired.Load() && !g.borrowed {
		CloseIdleSoon(g.transport)
	}
}

// A body is the body of a response. The request is finished when the body has
// been read to its end or closed.
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
