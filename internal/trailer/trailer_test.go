// SPDX-License-Identifier: Apache-2.0

package trailer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pismoauth/pismoauth/internal/trailer"
)

func request(t *testing.T, announced http.Header) *http.Request {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example/", nil)
	req.Trailer = announced
	return req
}

// A clone has its own map. It does not get the values that the body sets.
func TestRestore_GivesBackTheOriginalMap(t *testing.T) {
	for name, announced := range map[string]http.Header{
		"announced":     {"X-Sum": nil},
		"several":       {"X-Sum": nil, "X-Count": nil},
		"not announced": {}, // A proxy may not know the names yet.
		"set already":   {"X-Sum": {"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, announced)
			kept := trailer.Keep(req)
			clone := kept.Clone(kept.Context())
			out := trailer.Restore(clone)
			announced["X-Late"] = []string{"2"}
			if out.Trailer.Get("X-Late") != "2" {
				t.Error("the trailers are not the request's map")
			}
			if clone.Trailer.Get("X-Late") != "" || out == clone {
				t.Error("Restore changed the clone")
			}
		})
	}
}

// A layer that signs requests reads the whole body before Restore is called.
func TestRestore_AcceptsValuesSetMeanwhile(t *testing.T) {
	announced := http.Header{"X-Sum": nil}
	kept := trailer.Keep(request(t, announced))
	clone := kept.Clone(kept.Context())
	announced.Set("X-Sum", "1")
	if out := trailer.Restore(clone); out.Trailer.Get("X-Sum") != "1" {
		t.Error("the value is lost")
	}
}

// A layer may add trailers, and a base may send another request with the same
// context.
func TestRestore_LeavesOtherTrailersAlone(t *testing.T) {
	kept := trailer.Keep(request(t, http.Header{"X-Sum": nil}))
	for name, other := range map[string]http.Header{
		"none":          nil,
		"another":       {"X-Other": nil},
		"one more":      {"X-Sum": nil, "X-Other": nil},
		"another value": {"X-Sum": {"2"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, other).WithContext(kept.Context())
			if out := trailer.Restore(req); out != req {
				t.Errorf("the trailers %v have become %v", other, out.Trailer)
			}
		})
	}
}

func TestKeep_CostsNothingWithoutTrailers(t *testing.T) {
	req := request(t, nil)
	if trailer.Keep(req) != req || trailer.Restore(req) != req {
		t.Error("a request without trailers was copied")
	}
	if allocs := testing.AllocsPerRun(100, func() { trailer.Restore(trailer.Keep(req)) }); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
