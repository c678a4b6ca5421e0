// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

const uploadSize = 100 << 20

// A body without GetBody streams through, with and without a known length. The
// figure includes the memory of the fake server. retryablehttp, which reads the
// whole body first, shows that the benchmark detects that.
func BenchmarkStream(b *testing.B) {
	for _, upload := range []struct {
		name   string
		length int64
		over   func(tb testing.TB, pismo *passporttest.Server) http.RoundTripper
	}{
		{"length=known/side=pismoauth", uploadSize, newUpload},
		{"length=unknown/side=pismoauth", -1, newUpload},
		{"length=unknown/side=retryablehttp", -1, newRetryingUpload},
	} {
		b.Run(upload.name, func(b *testing.B) {
			var peak uint64
			for b.Loop() {
				pismo := passporttest.NewServer(b, passporttest.Config{})
				peak = max(peak, measureUpload(b, upload.over(b, pismo), pismo, upload.length))
			}
			b.ReportMetric(float64(peak), "peak-bytes")
		})
	}
}

func TestStream_IsNotBuffered(t *testing.T) {
	const limit = 8 << 20
	pismo := passporttest.NewServer(t, passporttest.Config{})
	if peak := measureUpload(t, newUpload(t, pismo), pismo, -1); peak > limit {
		t.Errorf("the heap grew by %d bytes during an upload of %d", peak, uploadSize)
	}
}

func newUpload(tb testing.TB, pismo *passporttest.Server) http.RoundTripper {
	tb.Helper()
	return newTransport(tb, transport.Config{
		Source:  newSource(tb, tokensource.Config{Issuer: newPassport(pismo)}),
		Hosts:   []string{pismo.Host()},
		Account: tokensource.Organization(),
	})
}

// newRetryingUpload returns go-retryablehttp over a transport that
// authenticates, because the fake server refuses the tokens of x/oauth2.
func newRetryingUpload(tb testing.TB, pismo *passporttest.Server) http.RoundTripper {
	tb.Helper()
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = &http.Client{Transport: newUpload(tb, pismo)}
	return &retryablehttp.RoundTripper{Client: client}
}

// measureUpload uploads a body of the announced length. It returns the maximum
// growth of the heap meanwhile.
func measureUpload(tb testing.TB, rt http.RoundTripper, pismo *passporttest.Server, length int64) uint64 {
	tb.Helper()
	upload(tb, rt, pismo.URL(), 1<<10, 1<<10) // It gets the token and the connection.
	idle := liveHeap()
	peak := peakHeapDuring(func() { upload(tb, rt, pismo.URL(), uploadSize, length) })
	if d := pismo.Deliveries(); d[len(d)-1].Length != uploadSize {
		tb.Fatalf("%d bytes arrived", d[len(d)-1].Length)
	}
	return peak - min(peak, idle)
}

// upload sends size bytes with the announced length.
func upload(tb testing.TB, rt http.RoundTripper, url string, size, length int64) {
	tb.Helper()
	req := newPost(tb, url+"/v1/uploads", nil)
	req.Body, req.GetBody, req.ContentLength = io.NopCloser(io.LimitReader(zeros{}, size)), nil, length
	roundTrip(tb, rt, req)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// The memory of a Source for each account: the account's id, the entry with its
// place in the map, and the token.
func BenchmarkCachedAccounts(b *testing.B) {
	var each float64
	for b.Loop() {
		idle := liveHeap()
		src := newSource(b, tokensource.Config{MaxAccounts: mostAccounts})
		for i := range mostAccounts {
			if _, err := src.Token(b.Context(), account(b, i)); err != nil {
				b.Fatal(err)
			}
		}
		each = max(each, float64(liveHeap()-idle)/mostAccounts)
		if src.Status().Accounts != mostAccounts {
			b.Fatalf("%d accounts are cached", src.Status().Accounts)
		}
	}
	b.ReportMetric(each, "B/account")
}

// heapObjects is the memory of objects, including dead objects that are not
// collected yet. Reading it does not stop the world.
const heapObjects = "/memory/classes/heap/objects:bytes"

func heap() uint64 {
	sample := []metrics.Sample{{Name: heapObjects}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// liveHeap returns the heap after two collections. The second collects what
// finalizers and sync.Pools held during the first.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	return heap()
}

// peakHeapDuring returns the maximum of heap during work.
func peakHeapDuring(work func()) uint64 {
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		most := heap()
		for {
			select {
			case <-tick.C:
				most = max(most, heap())
			case <-done:
				peak <- max(most, heap())
				return
			}
		}
	}()
	work()
	close(done)
	return <-peak
}
