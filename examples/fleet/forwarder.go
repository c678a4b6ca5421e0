// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// A forwarder forwards connections to an address until it is closed. Closing it
// looks like the end of the server at that address.
type forwarder struct {
	to string

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]bool // the listener and the connections
	copies sync.WaitGroup
}

func newForwarder(to string) *forwarder { return &forwarder{to: to, open: map[io.Closer]bool{}} }

// Serve implements backend.
func (f *forwarder) Serve(listener net.Listener) error {
	if !f.add(listener) {
		return net.ErrClosed
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			f.copies.Wait()
			return err
		}
		f.copies.Go(func() { f.forward(client) })
	}
}

// forward copies in both directions until one of the connections ends.
func (f *forwarder) forward(client net.Conn) {
	defer f.end(client)
	if !f.add(client) {
		return
	}
	dialer := net.Dialer{Timeout: time.Second}
	server, err := dialer.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer f.end(server)
	if !f.add(server) {
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, server)
		f.end(client)
	})
	_, _ = io.Copy(server, client)
	f.end(server)
	answers.Wait()
}

// add keeps what Close must close. It returns false if the forwarder is closed.
func (f *forwarder) add(c io.Closer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = c.Close()
		return false
	}
	f.open[c] = true
	return true
}

func (f *forwarder) end(c io.Closer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = c.Close()
	delete(f.open, c)
}

// Close implements backend.
func (f *forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	return nil
}
