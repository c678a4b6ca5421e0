package caddyplugin

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/transport"
)

// inboundVar is the variable of a request that holds its inbound.
const inboundVar = "pismo.inbound"

// An inbound is a request of a client's, over all that proxies do for it. They
// do one thing after the other.
type inbound struct {
	// attempts are those of each proxy: one may stand in another's response or
	// error route, and replays for itself.
	attempts map[*Transport]*transport.Attempts

	// failure is what kept a proxy from sending the request, or from getting an
	// answer, the last time.
	failure error
}

// inboundOf returns what there is of a request, or something new.
func inboundOf(ctx context.Context) *inbound {
	if in, ok := caddyhttp.GetVar(ctx, inboundVar).(*inbound); ok {
		return in
	}
	in := &inbound{attempts: map[*Transport]*transport.Attempts{}}
	caddyhttp.SetVar(ctx, inboundVar, in)
	return in
}

// attemptsOf returns the attempts that a proxy makes at the request.
func (in *inbound) attemptsOf(proxy *Transport) *transport.Attempts {
	attempts := in.attempts[proxy]
	if attempts == nil {
		attempts = new(transport.Attempts)
		in.attempts[proxy] = attempts
	}
	return attempts
}

// errBody is what errors of reading a client's body are.
var errBody = errors.New("pismoauth: the body of the request could not be read")

// A clientBody is the body of a client's request. It remembers that it could not
// be read, which the transport beneath may report as a failure of the upstream.
type clientBody struct {
	io.ReadCloser

	failure atomic.Pointer[error]
}

// Read reads from the client.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // As io.Copy compares: an EOF that is wrapped is none.
		err = errors.Join(errBody, middleware.UnreadableBody(err))
		b.failure.Store(&err)
	}
	return n, err
}

// err returns why the body could not be read, or nil.
func (b *clientBody) err() error {
	if b == nil {
		return nil
	}
	if failure := b.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}
