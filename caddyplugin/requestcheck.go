package caddyplugin

import (
	"net/http"

	"github.com/pismoauth/pismoauth/middleware"
)

// checkRequest returns why no token may be asked for a request's sake, or nil:
// the answer to TRACE repeats the request, our token included (RFC 9110,
// section 9.3.8).
func checkRequest(r *http.Request) error {
	switch {
	case isUnsafeEarlyData(r):
		return middleware.ErrTooEarly
	case r.Method == http.MethodTrace:
		return middleware.ErrMethodNotProxied
	}
	return nil
}

// isUnsafeEarlyData reports whether a request came in TLS early data, which
// anybody on the way can replay, and would do something if it were. An
// Early-Data that is malformed, or there twice, counts as 1 (RFC 8470, section
// 5.1).
func isUnsafeEarlyData(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return len(r.Header["Early-Data"]) > 0 || r.TLS != nil && !r.TLS.HandshakeComplete
}
