// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/rueidis"
)

var errClosed = errors.New("redisstore: the store is closed")

// A connector connects when it is used first. Callers that wait for the same
// attempt share its outcome. After a failure the next caller tries again.
type connector struct {
	connect func() (rueidis.Client, error)

	mu      sync.Mutex
	client  rueidis.Client
	attempt *attempt // that runs, or nil
	closed  bool
}

type attempt struct {
	done   chan struct{} // closed when it has ended
	client rueidis.Client
	err    error
}

// get returns the client.
func (c *connector) get(ctx context.Context) (rueidis.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed || c.client != nil {
		defer c.mu.Unlock()
		if c.closed {
			return nil, errClosed
		}
		return c.client, nil
	}
	a := c.attempt
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		c.attempt = a
		go c.run(a)
	}
	c.mu.Unlock()
	select {
	case <-a.done:
		return a.client, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run connects once.
func (c *connector) run(a *attempt) {
	client, err := c.connect()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(a.done)
	c.attempt = nil
	switch {
	case err != nil:
		a.err = err
	case c.closed:
		client.Close()
		a.err = errClosed
	default:
		c.client, a.client = client, client
	}
}

// close closes the client.
func (c *connector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.client != nil {
		c.client.Close()
	}
}
