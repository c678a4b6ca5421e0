// SPDX-License-Identifier: Apache-2.0

package base

import (
	"net/http"
	"sync"
)

// A Connections has the connections of a client, in generations. All
// connections of a generation can be retired together, without a disturbance of
// running requests. [http.Transport] alone cannot do that: it continues to use
// an HTTP/2 connection as long as there are requests on it.
//
// The zero Connections has no generation yet. Its methods are safe for
// concurrent use.
type Connections struct {
	mu      sync.Mutex
	current *Generation
}

// Current returns the generation for new requests. If the current generation
// has been retired or has a lower version, Current replaces it with the result
// of next, and retires it. The argument of next is the transport of the
// replaced generation, or nil for the first generation. The function next must
// not block.
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
// The connections of earlier generations close by themselves.
func (c *Connections) CloseIdleConnections() {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if current != nil {
		current.transport.CloseIdleConnections()
	}
}
