package passport

import (
	"net/http"
	"weak"
)

// LineOf returns what the next exchange of s goes out over.
func LineOf(s *S2S) http.RoundTripper { return s.line() }

// HasPool reports whether connections are kept for an S2S, and how to ask when
// it is gone.
func HasPool(s *S2S) func() bool {
	key := weak.Make(s)
	return func() bool {
		_, ok := pools.Load(key)
		return ok
	}
}
