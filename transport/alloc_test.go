// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// What is allocated is the copy of the request and of its header. The exchange
// itself is on the stack: with it, a request would allocate 1.2 KiB.
func TestRoundTrip_AllocatesOnlyTheCopies(t *testing.T) {
	resp := respond(http.StatusOK, "")
	rt := newTransport(t, &fakeIssuer{}, roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil }))
	req := newRequest(t, http.MethodGet, target, nil)
	for i := range 8 {
		req.Header.Set(fmt.Sprintf("X-Field-%d", i), "value")
	}
	roundTrip := func() {
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	if allocations := testing.AllocsPerRun(1000, roundTrip); allocations > 6 {
		t.Errorf("it allocates %v times, want at most 6", allocations)
	}
	const requests = 1000
	all := allocated(func() {
		for range requests {
			roundTrip()
		}
	})
	if each := all / requests; each > 1200 {
		t.Errorf("it allocates %d bytes, want at most 1200", each)
	}
}

// retryablehttp's FromRequest allocated 2.2 MB for such a request.
func TestBody_WithGetBodyIsNotCopied(t *testing.T) {
	const requests = 100
	resp := respond(http.StatusOK, "")
	rt := newTransport(t, &fakeIssuer{}, roundTripper(func(req *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, req.Body)
		return resp, err
	}))
	content := bytes.Repeat([]byte("x"), 1<<20)
	reqs := make([]*http.Request, requests+1)
	for i := range reqs {
		reqs[i] = newRequest(t, http.MethodPost, target, bytes.NewReader(content))
	}
	roundTrip := func(req *http.Request) {
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	roundTrip(reqs[0]) // The first request obtains the token.
	all := allocated(func() {
		for _, req := range reqs[1:] {
			roundTrip(req)
		}
	})
	if each := all / requests; each > 4<<10 {
		t.Errorf("each request allocates %d bytes, want at most 4096", each)
	}
}

// A small gzip body can expand to gigabytes.
func TestRefusal_LimitsGzipExpansion(t *testing.T) {
	bomb := gzipText(t, strings.Repeat(" ", 8<<20))
	w := answers401(bomb, "Content-Encoding", "gzip")
	rt := newTransport(t, &fakeIssuer{}, w)
	if n := allocated(func() { post(t, rt, target, "payment") }); n > 2<<20 {
		t.Errorf("%d bytes of an answer were unpacked into %d", len(bomb), n)
	}
}

// allocated returns the number of bytes that do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
