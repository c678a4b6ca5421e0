// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// A tamperer is a connection to a server whose answers a test changes.
type tamperer struct {
	addr   string
	change atomic.Pointer[func(answer []byte) []byte]
}

// tamper returns a tamperer in front of a server. It changes nothing yet.
func tamper(t *testing.T, s *server) *tamperer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		stop()
		_ = listener.Close()
	})
	p := &tamperer{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(ctx, client, s.addr)
		}
	}()
	return p
}

// answer makes the tamperer replace each answer. With nil it changes nothing.
// If change returns nil, the connection ends.
func (p *tamperer) answer(change func(answer []byte) []byte) {
	if change == nil {
		p.change.Store(nil)
		return
	}
	p.change.Store(&change)
}

// serve copies a connection until one side closes it.
func (p *tamperer) serve(ctx context.Context, client net.Conn, addr string) {
	defer client.Close()
	upstream, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer upstream.Close()
	stop := context.AfterFunc(ctx, func() { _ = client.Close(); _ = upstream.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buffer)
		if err != nil {
			return
		}
		answer := buffer[:n]
		if change := p.change.Load(); change != nil {
			if answer = (*change)(answer); answer == nil {
				return
			}
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}
