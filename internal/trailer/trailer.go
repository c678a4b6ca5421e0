// SPDX-License-Identifier: Apache-2.0

// Package trailer keeps the trailers of a request when a layer clones the
// request.
//
// The sender of a request sets the values of [http.Request.Trailer] while the
// body is read. It sets them in the map that the request was made with. A layer
// that calls [http.Request.Clone], such as the instrumentation of
// OpenTelemetry, passes on a copy of the map, which does not get the values.
// The layer above calls [Keep], and the layer below calls [Restore].
package trailer

import (
	"context"
	"net/http"
	"slices"
)

type key struct{}

// Keep returns a copy of req whose context has the trailers for [Restore]. It
// returns req itself if req has no trailers.
func Keep(req *http.Request) *http.Request {
	if req.Trailer == nil {
		return req
	}
	return req.WithContext(context.WithValue(req.Context(), key{}, req.Trailer))
}

// Restore returns a copy of req with the trailers that [Keep] kept. It returns
// req itself if the trailers of req are not a copy of these.
func Restore(req *http.Request) *http.Request {
	kept, ok := req.Context().Value(key{}).(http.Header)
	if !ok || !isCopy(req.Trailer, kept) {
		return req
	}
	out := new(http.Request)
	*out = *req
	out.Trailer = kept
	return out
}

// isCopy reports whether trailer may be a copy of original. A copy has all
// names of original, and its values if they are set. isCopy is false for the
// trailers of another request with the same context, and if a layer has added
// trailers.
func isCopy(trailer, original http.Header) bool {
	if trailer == nil {
		return false
	}
	for name, values := range trailer {
		set, ok := original[name]
		if !ok || len(values) > 0 && !slices.Equal(values, set) {
			return false
		}
	}
	return true
}
