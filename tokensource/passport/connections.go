package passport

import (
	"net/http"
	"runtime"
	"sync"
	"weak"

	"github.com/pismoauth/pismoauth/internal/base"
)

// A retirableTransport sends the request of one exchange.
type retirableTransport interface {
	http.RoundTripper

	// Retire ensures that no later exchange uses the connection of this
	// exchange. It does not disturb other requests on the connection.
	Retire()
}

// nextTransport returns the transport for the next exchange.
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
// generation uses own, the Transport of the Client, or a new base if own is
// nil.
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

// startingWith returns the connections whose first generation uses own.
func (p *connectionPool) startingWith(own *http.Transport) *base.Connections {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connections == nil || p.original != own {
		p.original, p.connections = own, new(base.Connections)
	}
	return p.connections
}

// connectionPools has the pool of each S2S in use, as a map from
// weak.Pointer[S2S] to *connectionPool. It is a variable of the package because
// an S2S cannot hold state: printing an S2S copies it, while other goroutines
// use it.
var connectionPools sync.Map

func (s *S2S) pool() *connectionPool {
	key := weak.Make(s)
	if p, ok := connectionPools.Load(key); ok {
		return p.(*connectionPool)
	}
	p, loaded := connectionPools.LoadOrStore(key, new(connectionPool))
	if !loaded {
		// The connections are idle then, and close by themselves.
		runtime.AddCleanup(s, func(key weak.Pointer[S2S]) { connectionPools.Delete(key) }, key)
	}
	return p.(*connectionPool)
}

// An unknownTransport is a RoundTripper of a type that S2S does not know.
type unknownTransport struct{ http.RoundTripper }

// Retire closes the idle connections, if the RoundTripper can do that. The
// connection of a failed exchange is idle, unless others share it.
func (t unknownTransport) Retire() { base.CloseIdleSoon(t.RoundTripper) }
