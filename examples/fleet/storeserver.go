// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// A backend serves a store on a listener until it is closed. An *http.Server is
// one.
type backend interface {
	Serve(listener net.Listener) error
	Close() error
}

// A storeServer is a store that can be stopped and started again, at the same
// address.
type storeServer struct {
	network, address string
	newBackend       func() backend

	dir     string // of the socket, or ""
	running backend
	serving sync.WaitGroup
}

// newStoreServer starts a store: in memory, or the Redis at an address.
func newStoreServer(redis string) (*storeServer, error) {
	s := &storeServer{network: "tcp", address: "127.0.0.1:0"}
	if redis != "" {
		dialer := net.Dialer{Timeout: 5 * time.Second}
		probe, err := dialer.Dial("tcp", redis)
		if err != nil {
			return nil, fmt.Errorf("-redis %s: %w", redis, err)
		}
		_ = probe.Close()
		s.newBackend = func() backend { return newForwarder(redis) }
	} else {
		// A store without persistence starts empty.
		s.newBackend = func() backend {
			return &http.Server{Handler: newStoreHandler(new(fleettest.Memory)), ReadHeaderTimeout: 10 * time.Second}
		}
		if runtime.GOOS != "windows" {
			dir, err := os.MkdirTemp("", "pismo-fleet") // Only this user may read it.
			if err != nil {
				return nil, err
			}
			s.dir, s.network, s.address = dir, "unix", filepath.Join(dir, "store")
		}
	}
	if err := s.start(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// start serves the store again.
func (s *storeServer) start() error {
	listener, err := net.Listen(s.network, s.address) //nolint:noctx // Binding a local address does not block.
	if err != nil {
		return err
	}
	s.address = listener.Addr().String()
	s.running = s.newBackend()
	running := s.running
	s.serving.Go(func() { _ = running.Serve(listener) })
	return nil
}

// stop closes the listener and all connections.
func (s *storeServer) stop() {
	if s.running != nil {
		_ = s.running.Close()
	}
	s.serving.Wait()
	s.running = nil
}

func (s *storeServer) close() {
	s.stop()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
