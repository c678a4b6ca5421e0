// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// A connection records how the base uses connections for one send. The base
// calls the hooks of httptrace: GetConn when it requests a connection, and
// GotConn when it has a connection, before it writes a byte. A nil connection
// records nothing. Nor does a connection whose base does not call the hooks.
//
// Only requests that may not be executed twice have a connection. Other
// requests can be sent again after any failure.
type connection struct {
	requested         atomic.Bool
	obtained          atomic.Int32 // number of connections
	http2             atomic.Bool  // The request was written over HTTP/2.
	hasIdempotencyKey atomic.Bool  // net/http considers the request repeatable.
	resendPrevented   atomic.Bool

	trace httptrace.ClientTrace // in this allocation
}

// errMayBeExecuted is the error of a request whose connection broke, if
// net/http would otherwise have sent the request again.
var errMayBeExecuted = fmt.Errorf(
	"pismoauth: the connection broke before the response arrived, so the request may have been executed and is not sent again; use transport.AllowRetry if it may be executed twice: %w",
	io.ErrUnexpectedEOF)

// traceConnection returns a context for a send, with hooks that record its
// connection.
func (x *exchange) traceConnection(ctx context.Context) context.Context {
	c := new(connection)
	c.hasIdempotencyKey.Store(x.req.Method == http.MethodTrace)
	x.connection = c
	c.trace = httptrace.ClientTrace{
		GetConn:          func(string) { c.requested.Store(true) },
		GotConn:          c.gotConn,
		WroteHeaderField: c.wroteField,
	}
	return httptrace.WithClientTrace(ctx, &c.trace)
}

// gotConn records a connection. It closes the second connection of a request if
// net/http would send the request again although the request may have been
// executed. A connection of HTTP/1 has one user, so a write to the closed
// connection fails.
func (c *connection) gotConn(info httptrace.GotConnInfo) {
	if c.obtained.Add(1) > 1 && c.hasIdempotencyKey.Load() && !c.http2.Load() {
		c.resendPrevented.Store(true)
		_ = info.Conn.Close()
	}
}

// wroteField records the fields that decide whether net/http sends the request
// again when a connection breaks. It sees the fields as they go out.
func (c *connection) wroteField(name string, _ []string) {
	switch {
	case strings.HasPrefix(name, ":"):
		c.http2.Store(true)
	case isIdempotencyKey(name):
		c.hasIdempotencyKey.Store(true)
	}
}

// isIdempotencyKey reports whether net/http treats a field as the caller's
// permission to send the request again. See [http.Transport].
func isIdempotencyKey(name string) bool {
	return name == "Idempotency-Key" || name == "X-Idempotency-Key"
}

// neverObtained reports whether the base certainly had no connection.
func (c *connection) neverObtained() bool {
	return c != nil && c.requested.Load() && c.obtained.Load() == 0
}

// wasObtained reports whether the base certainly had a connection.
func (c *connection) wasObtained() bool { return c != nil && c.obtained.Load() > 0 }

// preventedResend reports whether the connection prevented a second send by
// net/http.
func (c *connection) preventedResend() bool { return c != nil && c.resendPrevented.Load() }

// getBody returns the GetBody of an outgoing request. With GetBody, net/http
// may send the request again by itself. This is welcome if the request may be
// executed twice.
//
// Otherwise net/http may do so only if it has not written a byte. Over HTTP/1
// it has no other reason, except for requests with an idempotency key. Over
// HTTP/2 it has one more reason: the server reset the stream with
// PROTOCOL_ERROR. So over HTTP/2 net/http gets no GetBody, and isUnprocessed
// examines its error. The protocol is unknown before the send. The last
// response is a good guess. A wrong guess costs only this attempt.
func (x *exchange) getBody() func() (io.ReadCloser, error) {
	switch {
	case x.repeatable:
		return x.req.GetBody
	case x.body.empty, !x.body.replayable(), !x.transport.learned.http1.Load():
		return nil
	}
	c, get := x.connection, x.body.get
	return func() (io.ReadCloser, error) {
		if !c.wasObtained() || c.hasIdempotencyKey.Load() || c.http2.Load() {
			return nil, errMayBeExecuted
		}
		return get()
	}
}

// learnProtocol records the HTTP version of the host.
func (t *Transport) learnProtocol(resp *http.Response) {
	if http1 := resp.ProtoMajor == 1; http1 != t.learned.http1.Load() {
		t.learned.http1.Store(http1)
	}
}

// isUnprocessed reports whether the server said that it did not process the
// request. The server does so by GOAWAY with the number of an earlier stream
// (RFC 9113, section 6.8), or by REFUSED_STREAM (section 8.7). net/http and
// golang.org/x/net/http2 report this only in the text of an error.
func isUnprocessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		text = strings.TrimPrefix(text, "http2: Transport: cannot retry err [")
		text = strings.TrimSuffix(text, "] after Request.Body was written; define Request.GetBody to avoid this error")
		switch {
		case text == "http2: Transport received Server's graceful shutdown GOAWAY",
			strings.HasPrefix(text, "http2: Transport received GOAWAY from server ErrCode:"),
			strings.HasPrefix(text, "stream error: stream ID ") && strings.HasSuffix(text, "; REFUSED_STREAM; received from peer"):
			return true
		}
	}
	return false
}
