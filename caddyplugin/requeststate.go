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

// requestStateVar is the variable of a request that holds its inbound.
const requestStateVar = "pismo.inbound"

// A requestState is a request of a client's, over all that proxies do for it.
// They do one thing after the other.
type requestState struct {
	// retryGroups are those of each proxy: one may stand in another's response or
	// error route, and replays for itself.
	retryGroups map[*Transport]*transport.RetryGroup

	// failure is what kept a proxy from sending the request, or from getting an
	// answer, the last time.
	failure error
}

// requestStateOf returns what there is of a request, or something new.
func requestStateOf(ctx context.Context) *requestState {
	if in, ok := caddyhttp.GetVar(ctx, requestStateVar).(*requestState); ok {
		return in
	}
	in := &requestState{retryGroups: map[*Transport]*transport.RetryGroup{}}
	caddyhttp.SetVar(ctx, requestStateVar, in)
	return in
}

// retryGroupOf returns the attempts that a proxy makes at the request.
func (in *requestState) retryGroupOf(proxy *Transport) *transport.RetryGroup {
	attempts := in.retryGroups[proxy]
	if attempts == nil {
		attempts = new(transport.RetryGroup)
		in.retryGroups[proxy] = attempts
	}
	return attempts
}

// errBodyUnreadable is what errors of reading a client's body are.
var errBodyUnreadable = errors.New("pismoauth: the body of the request could not be read")

// A clientBody is the body of a client's request. It remembers that it could
// not be read, which the transport below may report as a failure of the
// upstream.
type clientBody struct {
	io.ReadCloser

	failure atomic.Pointer[error]
}

// Read reads from the client.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // As io.Copy compares: an EOF that is wrapped is none.
		err = errors.Join(errBodyUnreadable, middleware.UnreadableBody(err))
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
