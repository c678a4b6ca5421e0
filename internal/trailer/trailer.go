// Package trailer keeps the trailers of a request that is copied on its way.
//
// The values of [http.Request.Trailer] are set while the body is read: whoever
// sends a request fills in the map that it made the request with. A layer that
// calls [http.Request.Clone], as the instrumentation of OpenTelemetry does,
// passes on another map, which stays as it was. The layer above it calls
// [Keep], and the layer below it [Restore].
package trailer

import (
	"context"
	"net/http"
	"slices"
)

type key struct{}

// Keep returns req, or, if it has trailers, a copy whose context carries them
// for [Restore].
func Keep(req *http.Request) *http.Request {
	if req.Trailer == nil {
		return req
	}
	return req.WithContext(context.WithValue(req.Context(), key{}, req.Trailer))
}

// Restore returns req, or, if its trailers are a copy of those that its context
// carries, a copy of it with the original ones.
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

// isCopy reports whether trailer has nothing that original does not have, or
// will have when its values are set. It is false for the trailers of another
// request, made with the same context, and for those to which a layer has added
// its own.
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
