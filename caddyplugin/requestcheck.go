// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"net/http"

	"github.com/pismoauth/pismoauth/middleware"
)

// checkRequest returns an error if a request may not get a token, or nil. The
// answer to TRACE repeats the request with its token (RFC 9110, section 9.3.8).
func checkRequest(r *http.Request) error {
	switch {
	case isUnsafeEarlyData(r):
		return middleware.ErrTooEarly
	case r.Method == http.MethodTrace:
		return middleware.ErrMethodNotProxied
	}
	return nil
}

// isUnsafeEarlyData reports whether a request with an unsafe method came in TLS
// early data. Anyone on the network path can replay early data. An Early-Data
// field that is malformed or repeated counts as 1 (RFC 8470, section 5.1).
func isUnsafeEarlyData(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return len(r.Header["Early-Data"]) > 0 || r.TLS != nil && !r.TLS.HandshakeComplete
}
