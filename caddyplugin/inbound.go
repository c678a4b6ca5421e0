package caddyplugin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/transport"
)

// inboundVar is the variable of a request that holds its inbound.
const inboundVar = "pismo.inbound"

// An inbound is a request of a client's, over all attempts that reverse_proxy
// makes to send it on, which come one after the other.
type inbound struct {
	attempts transport.Attempts

	body    io.ReadCloser // whose content is kept
	content []byte
}

// inboundOf returns what there is of a request, or something new.
func inboundOf(ctx context.Context) *inbound {
	if in, ok := caddyhttp.GetVar(ctx, inboundVar).(*inbound); ok {
		return in
	}
	in := new(inbound)
	caddyhttp.SetVar(ctx, inboundVar, in)
	return in
}

// errBody is what errors of reading a client's body are.
var errBody = errors.New("pismoauth: the body of the request could not be read")

// keepBody gives out a body that can be sent again, if its length is known and
// within limit. An attempt finds the body that another has read before it.
func (in *inbound) keepBody(out *http.Request, limit int64) error {
	if out.Body == nil || out.Body == http.NoBody || out.ContentLength <= 0 || out.ContentLength > limit {
		return nil
	}
	if !in.has(out.Body) {
		// One byte more than announced: the upstream shall see a body that is
		// too long for what it is, as it would without us.
		content, err := io.ReadAll(io.LimitReader(out.Body, out.ContentLength+1))
		if err != nil {
			return errors.Join(errBody, middleware.UnreadableBody(err))
		}
		in.body, in.content = out.Body, content
	}
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(in.content)), nil }
	out.Body, _ = out.GetBody()
	return nil
}

// has reports whether the content of a body is kept.
func (in *inbound) has(body io.ReadCloser) bool {
	return in.body != nil && reflect.ValueOf(body).Comparable() && in.body == body
}
