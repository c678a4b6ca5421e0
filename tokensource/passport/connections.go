// SPDX-License-Identifier: Apache-2.0

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

// nextTransport returns the transport for the next exchange of an issuer with
// the given Client, which may be nil.
func nextTransport[Issuer any](issuer *Issuer, client *http.Client) retirableTransport {
	var transport http.RoundTripper
	if client != nil {
		transport = client.Transport
	}
	switch own := transport.(type) {
	case nil:
		return poolOf(issuer).generation(nil)
	case *http.Transport:
		return poolOf(issuer).generation(own)
	case *certificateTransport:
		return own.generation()
	default:
		return unknownTransport{own}
	}
}

// generation returns the current generation of the connections. The first
// generation uses own, the Transport of the Client, or a new base if own is
// nil.
func (p *connectionPool) generation(own *http.Transport) *base.Generation {
	return p.startingWith(own).Current(0, func(before *http.Transport) *base.Generation {
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

// A connectionPool has the connections of an issuer.
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

// connectionPools has the pool of each issuer in use, as a map from
// weak.Pointer[S2S] or weak.Pointer[OpenID] to *connectionPool. It is a
// variable of the package because an issuer cannot hold state: printing an
// issuer copies it, while other goroutines use it.
var connectionPools sync.Map

func poolOf[Issuer any](issuer *Issuer) *connectionPool {
	key := weak.Make(issuer)
	if p, ok := connectionPools.Load(key); ok {
		return p.(*connectionPool)
	}
	p, loaded := connectionPools.LoadOrStore(key, new(connectionPool))
	if !loaded {
		// The connections are idle then, and close by themselves.
		runtime.AddCleanup(issuer, func(key weak.Pointer[Issuer]) { connectionPools.Delete(key) }, key)
	}
	return p.(*connectionPool)
}

// An unknownTransport is a RoundTripper of a type that the issuers do not know.
type unknownTransport struct{ http.RoundTripper }

// Retire closes the idle connections, if the RoundTripper can do that. The
// connection of a failed exchange is idle, unless others share it.
func (t unknownTransport) Retire() { base.CloseIdleSoon(t.RoundTripper) }
