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

// A connection is what one sending of a request shows of its connection. The
// base tells by the hooks of httptrace: GetConn when it asks for a connection,
// GotConn when it has one, before it writes a byte. The nil connection shows
// nothing, as does that of a base which does not call the hooks.
//
// It is watched for requests that may not be executed twice. Other requests can
// be sent again whatever happened.
type connection struct {
	requested         atomic.Bool
	obtained          atomic.Int32 // how many there were
	http2             atomic.Bool  // The request was written to one that speaks it.
	hasIdempotencyKey atomic.Bool  // net/http takes the request for one that can be repeated.
	resendPrevented   atomic.Bool

	trace httptrace.ClientTrace // in this allocation
}

// errMayBeExecuted is the error of a request whose connection broke, where
// net/http would have sent the request again.
var errMayBeExecuted = fmt.Errorf(
	"pismoauth: the connection broke before the answer came; the request may have been executed and is not sent again; use transport.AllowRetry if it may be executed twice: %w",
	io.ErrUnexpectedEOF)

// traceConnection returns a context for a sending, with hooks that show its connection.
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

// gotConn notes a connection, and sees that net/http does not send the request
// over a second one by itself when the first has broken, if it does that
// although the request may have been executed. Nothing else uses a connection of
// HTTP/1: what is written to it after it was closed fails.
func (c *connection) gotConn(info httptrace.GotConnInfo) {
	if c.obtained.Add(1) > 1 && c.hasIdempotencyKey.Load() && !c.http2.Load() {
		c.resendPrevented.Store(true)
		_ = info.Conn.Close()
	}
}

// wroteField notes the fields that decide what net/http does when a connection
// breaks. It sees them as they go out, whoever has set them.
func (c *connection) wroteField(name string, _ []string) {
	switch {
	case strings.HasPrefix(name, ":"):
		c.http2.Store(true)
	case isIdempotencyKey(name):
		c.hasIdempotencyKey.Store(true)
	}
}

// isIdempotencyKey reports whether net/http takes a field for the caller's
// permission to send the request again, see [http.Transport].
func isIdempotencyKey(name string) bool {
	return name == "Idempotency-Key" || name == "X-Idempotency-Key"
}

// neverObtained reports whether it is certain that there was no connection.
func (c *connection) neverObtained() bool {
	return c != nil && c.requested.Load() && c.obtained.Load() == 0
}

// wasObtained reports whether it is certain that there was one.
func (c *connection) wasObtained() bool { return c != nil && c.obtained.Load() > 0 }

// preventedResend reports whether a second sending by net/http was prevented.
func (c *connection) preventedResend() bool { return c != nil && c.resendPrevented.Load() }

// getBody returns the GetBody of what goes out. With it, net/http sends a request
// again by itself. If the request may be executed twice, that is welcome.
//
// Otherwise net/http may do so only if it has not written a byte. Over HTTP/1
// there is no other reason, but for requests with an idempotency key. Over
// HTTP/2 there is one, a stream that the server has reset with PROTOCOL_ERROR:
// so net/http gets no GetBody there, and unprocessed looks at its error. Which of
// the two it will be is not known before. The last response is a good guess,
// and a wrong one costs no more than this attempt.
func (x *exchange) getBody() func() (io.ReadCloser, error) {
	switch {
	case x.repeatable:
		return x.req.GetBody
	case x.body.empty, !x.body.replayable(), !x.transport.learned.http1.Load():
		return nil
	}
	c := x.connection
	return func() (io.ReadCloser, error) {
		if !c.wasObtained() || c.hasIdempotencyKey.Load() || c.http2.Load() {
			return nil, errMayBeExecuted
		}
		return x.body.get()
	}
}

// learnProtocol notes which version of HTTP the host speaks.
func (t *Transport) learnProtocol(resp *http.Response) {
	if http1 := resp.ProtoMajor == 1; http1 != t.learned.http1.Load() {
		t.learned.http1.Store(http1)
	}
}

// isUnprocessed reports whether the server has said that it did not process the
// request: by GOAWAY, whose last stream is an earlier one (RFC 9113, section
// 6.8), or by REFUSED_STREAM (section 8.7). net/http and golang.org/x/net/http2
// say so in the text of an error only.
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
