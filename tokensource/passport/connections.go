package passport

import (
	"net/http"
	"runtime"
	"sync"
	"weak"

	"github.com/pismoauth/pismoauth/internal/base"
)

// A retirableTransport is what one exchange goes out over.
type retirableTransport interface {
	http.RoundTripper

	// Retire has no later exchange go out over the connection of this one.
	// Requests that share the connection are not disturbed.
	Retire()
}

// nextTransport returns what the next exchange goes out over.
func (s *S2S) nextTransport() retirableTransport {
	var transport http.RoundTripper
	if s.Client != nil {
		transport = s.Client.Transport
	}
	switch own := transport.(type) {
	case nil:
		return s.generation(nil)
	case *http.Transport:
		return s.generation(own)
	case *certificateTransport:
		return own.generation()
	default:
		return unknownTransport{own}
	}
}

// generation returns the current generation of the connections of s. The first
// is on own, the Transport of the Client, or on a new base if that is nil.
func (s *S2S) generation(own *http.Transport) *base.Generation {
	return s.pool().startingWith(own).Current(0, func(before *http.Transport) *base.Generation {
		switch {
		case before != nil:
			return base.Own(base.Clone(before))
		case own != nil:
			return base.Borrow(own)
		default:
			return base.Own(base.New())
		}
	})
}

// A connectionPool has the connections of an S2S.
type connectionPool struct {
	mu          sync.Mutex
	original    *http.Transport
	connections *base.Connections
}

// startingWith returns the connections that began with own.
func (p *connectionPool) startingWith(own *http.Transport) *base.Connections {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connections == nil || p.original != own {
		p.original, p.connections = own, new(base.Connections)
	}
	return p.connections
}

// connectionPools has the pool of each S2S that is in use: weak.Pointer[S2S] to *pool. It
// is state of the package because S2S cannot have any of its own: whoever
// prints an S2S copies it, while others use it.
var connectionPools sync.Map

func (s *S2S) pool() *connectionPool {
	key := weak.Make(s)
	if p, ok := connectionPools.Load(key); ok {
		return p.(*connectionPool)
	}
	p, loaded := connectionPools.LoadOrStore(key, new(connectionPool))
	if !loaded {
		// The connections, which are idle by then, close by themselves.
		runtime.AddCleanup(s, func(key weak.Pointer[S2S]) { connectionPools.Delete(key) }, key)
	}
	return p.(*connectionPool)
}

// An unknownTransport line is a RoundTripper of which nothing is known.
type unknownTransport struct{ http.RoundTripper }

// Retire closes the connections that are idle, if the RoundTripper can do that.
// The connection of an exchange that failed is idle, unless others share it.
func (f unknownTransport) Retire() {
	if idle, ok := f.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdle(idle)
	}
}
