// SPDX-License-Identifier: Apache-2.0

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

// requestStateVar is the variable of a request that holds its requestState.
const requestStateVar = "pismo.inbound"

// A requestState is the state of a client's request across all proxies that
// handle it. They handle it in sequence, never at once.
type requestState struct {
	// retryGroups has a group for each proxy. A proxy in a response route or an
	// error route of another proxy has its own replays.
	retryGroups map[*Transport]*transport.RetryGroup

	// failure is the last error that kept a proxy from sending the request or from
	// getting an answer.
	failure error
}

// requestStateOf returns the state of a request, and creates it if needed.
func requestStateOf(ctx context.Context) *requestState {
	if in, ok := caddyhttp.GetVar(ctx, requestStateVar).(*requestState); ok {
		return in
	}
	in := &requestState{retryGroups: map[*Transport]*transport.RetryGroup{}}
	caddyhttp.SetVar(ctx, requestStateVar, in)
	return in
}

// retryGroupOf returns the retry group of a proxy for the request.
func (in *requestState) retryGroupOf(proxy *Transport) *transport.RetryGroup {
	attempts := in.retryGroups[proxy]
	if attempts == nil {
		attempts = new(transport.RetryGroup)
		in.retryGroups[proxy] = attempts
	}
	return attempts
}

// errBodyUnreadable is the kind of every error in reading a client's body.
var errBodyUnreadable = errors.New("pismoauth: the body of the request could not be read")

// A clientBody is the body of a client's request. It records a read error: the
// transport below may report that error as a failure of the upstream.
type clientBody struct {
	io.ReadCloser

	failure atomic.Pointer[error]
}

// Read reads from the client.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Copy compares in the same way: a wrapped EOF is an error.
		err = errors.Join(errBodyUnreadable, middleware.UnreadableBody(err))
		b.failure.Store(&err)
	}
	return n, err
}

// err returns the read error of the body, or nil.
func (b *clientBody) err() error {
	if b == nil {
		return nil
	}
	if failure := b.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}
