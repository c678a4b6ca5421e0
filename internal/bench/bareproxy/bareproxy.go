// SPDX-License-Identifier: Apache-2.0

// Package bareproxy has the peer of middleware.NewProxy: a reverse proxy with a
// static token, as programs write it by hand.
package bareproxy

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// New returns a proxy to target that sends each request with authorization. In
// all other respects it does the same as middleware.NewProxy. It has no
// BufferPool.
func New(target *url.URL, base http.RoundTripper, authorization string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: base,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Header.Set("Authorization", authorization)
		},
	}
}

// Buffers is an efficient [httputil.BufferPool]. It keeps pointers, which
// sync.Pool stores without an allocation, to buffers of ReverseProxy's default
// size.
type Buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer.
func (b *Buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back.
func (b *Buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
