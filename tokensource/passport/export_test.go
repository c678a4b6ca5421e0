// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"net/http"
	"weak"
)

// TransportOf returns the transport for the next exchange of s.
func TransportOf(s *S2S) http.RoundTripper { return nextTransport(s, s.Client) }

// HasPool returns a function that reports whether an S2S has a connection pool.
// The function does not keep the S2S alive.
func HasPool(s *S2S) func() bool {
	key := weak.Make(s)
	return func() bool {
		_, ok := connectionPools.Load(key)
		return ok
	}
}
