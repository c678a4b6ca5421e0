package passport

import (
	"net/http"
	"weak"
)

// TransportOf returns what the next exchange of s goes out over.
func TransportOf(s *S2S) http.RoundTripper { return s.nextTransport() }

// HasPool reports whether connections are kept for an S2S, and how to ask when
// it is gone.
func HasPool(s *S2S) func() bool {
	key := weak.Make(s)
	return func() bool {
		_, ok := connectionPools.Load(key)
		return ok
	}
}
