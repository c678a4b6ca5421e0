// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/transport"
)

// Frames of HTTP/2 (RFC 9113, section 6).
const (
	frameData      = 0x0
	frameHeaders   = 0x1
	frameRSTStream = 0x3
	frameSettings  = 0x4
	framePing      = 0x6
	frameGoAway    = 0x7

	flagEndStream = 0x1 // ACK for settings and pings
	flagEnd       = 0x5 // END_STREAM and END_HEADERS

	status200 = "\x88" // in HPACK
)

// An http2Server speaks HTTP/2 in whole requests. The function refuse may
// answer a request. It then returns true. All other requests get 200.
type http2Server struct {
	net.Listener
	base   *http.Transport
	refuse func(c *http2Conn, number int32, stream uint32) bool
	got    atomic.Int32 // number of requests that arrived completely
}

type http2Conn struct{ net.Conn }

func (c *http2Conn) write(kind, flags byte, stream uint32, payload string) {
	n := len(payload)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	_, _ = c.Write(append(binary.BigEndian.AppendUint32(head, stream), payload...))
}

func (c *http2Conn) reset(stream, code uint32) {
	c.write(frameRSTStream, 0, stream, string(binary.BigEndian.AppendUint32(nil, code)))
}

func (c *http2Conn) goAway(last, code uint32) {
	payload := binary.BigEndian.AppendUint32(nil, last)
	c.write(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(payload, code)))
}

func newHTTP2Server(t *testing.T, refuse func(c *http2Conn, number int32, stream uint32) bool) *http2Server {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // Provides the certificate.
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	base := transport.NewBase()
	base.TLSClientConfig.RootCAs = x509.NewCertPool()
	base.TLSClientConfig.RootCAs.AddCert(certified.Certificate())
	f := &http2Server{Listener: listener, base: base, refuse: refuse}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			serving.Go(func() { f.serve(&http2Conn{conn}) })
		}
	})
	t.Cleanup(serving.Wait) // After all connections are closed.
	t.Cleanup(func() { _ = listener.Close() })
	return f
}

func (f *http2Server) serve(conn *http2Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	if _, err := in.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		return
	}
	conn.write(frameSettings, 0, 0, "")
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags == 0, kind == framePing && flags == 0:
			if kind == frameSettings {
				payload = nil
			}
			conn.write(kind, flagEndStream, 0, string(payload))
		case (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			if number := f.got.Add(1); !f.refuse(conn, number, stream) {
				conn.write(frameHeaders, flagEnd, stream, status200)
			}
		}
	}
}

func (f *http2Server) transport(t *testing.T) *transport.Transport {
	t.Helper()
	return newTransport(t, &fakeIssuer{}, f.base, func(c *transport.Config) { c.Hosts = []string{f.Addr().String()} })
}

func (f *http2Server) url() string { return "https://" + f.Addr().String() + "/pay" }

// Error codes of RST_STREAM.
const (
	protocolError = 0x1
	refusedStream = 0x7
)

// A server that resets a stream may have executed the request. Only
// REFUSED_STREAM says that the server has not.
//
// This test leaves out PROTOCOL_ERROR for a request without a body: net/http
// resends such a request itself, and this package cannot prevent that.
func TestPayment_DeliveredOnceThoughStreamIsReset(t *testing.T) {
	for code := range uint32(15) {
		for name, body := range bodiesOfPayments {
			if isEmpty := name == "nil" || name == "NoBody"; isEmpty && code == protocolError || code == refusedStream {
				continue
			}
			t.Run(fmt.Sprintf("%d %s", code, name), func(t *testing.T) {
				f := newHTTP2Server(t, func(c *http2Conn, number int32, stream uint32) bool {
					if number > 1 {
						c.reset(stream, code)
					}
					return number > 1
				})
				rt := f.transport(t)
				wantStatus(t, get(t, rt, f.url()), http.StatusOK)
				req := newRequest(t, http.MethodPost, f.url(), strings.NewReader("payment"))
				req.Header.Set("Idempotency-Key", "k1")
				body(req)
				_, err := trySend(rt, req)
				if n := f.got.Load() - 1; n != 1 || err == nil {
					t.Errorf("it was delivered %d times with error %v, want once with an error", n, err)
				}
			})
		}
	}
}

// A request that the server declares unprocessed is sent again, by net/http or
// by the transport.
func TestPayment_UnprocessedIsSentAgain(t *testing.T) {
	for refusal, refuse := range map[string]func(c *http2Conn, stream uint32){
		"REFUSED_STREAM":              func(c *http2Conn, stream uint32) { c.reset(stream, refusedStream) },
		"GOAWAY":                      func(c *http2Conn, stream uint32) { c.goAway(stream-2, 0) },
		"GOAWAY with an error":        func(c *http2Conn, stream uint32) { c.goAway(stream-2, 2) },
		"GOAWAY, and the end":         func(c *http2Conn, stream uint32) { c.goAway(stream-2, 0); _ = c.Close() },
		"GOAWAY for the first stream": func(c *http2Conn, stream uint32) { c.goAway(0, 11) },
	} {
		for name, body := range bodiesOfPayments {
			if name == "streamed" {
				continue // The request cannot be sent again.
			}
			for _, warm := range []bool{true, false} {
				if !warm && refusal != "REFUSED_STREAM" && refusal != "GOAWAY for the first stream" {
					continue // These name the previous stream, and the first stream has none.
				}
				t.Run(fmt.Sprintf("%s %s %t", refusal, name, warm), func(t *testing.T) {
					first := int32(1)
					if warm {
						first = 2
					}
					f := newHTTP2Server(t, func(c *http2Conn, number int32, stream uint32) bool {
						if number == first {
							refuse(c, stream)
						}
						return number == first
					})
					rt := f.transport(t)
					if warm {
						wantStatus(t, get(t, rt, f.url()), http.StatusOK)
					}
					req := newRequest(t, http.MethodPost, f.url(), strings.NewReader("payment"))
					body(req)
					r, err := trySend(rt, req)
					if n := f.got.Load() - first; err != nil || r.status != http.StatusOK || n != 1 {
						t.Errorf("got status %d with error %v after %d more sendings, want 200 after one", r.status, err, n)
					}
				})
			}
		}
	}
}

// This GOAWAY includes the stream. So the server may have executed the request.
func TestPayment_IncludedInGoAwayIsNotSentAgain(t *testing.T) {
	for name, body := range bodiesOfPayments {
		f := newHTTP2Server(t, func(c *http2Conn, number int32, stream uint32) bool {
			if number == 2 {
				c.goAway(stream, 0)
				_ = c.Close()
			}
			return number == 2
		})
		rt := f.transport(t)
		wantStatus(t, get(t, rt, f.url()), http.StatusOK)
		req := newRequest(t, http.MethodPost, f.url(), strings.NewReader("payment"))
		body(req)
		_, err := trySend(rt, req)
		if n := f.got.Load() - 1; n != 1 || err == nil {
			t.Errorf("%s: it was delivered %d times with error %v, want once with an error", name, n, err)
		}
	}
}
