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

// A body that cannot be had again streams through, whether or not its length is
// known. What the fake server needs to receive it counts in. That retryablehttp
// reads the body first shows that the measurement would notice.
func BenchmarkStream(b *testing.B) {
	for _, upload := range []struct {
		name   string
		length int64
		over   func(tb testing.TB, pismo *passporttest.Server) http.RoundTripper
	}{
		{"length=known/side=pismoauth", uploadSize, newStreaming},
		{"length=unknown/side=pismoauth", -1, newStreaming},
		{"length=unknown/side=retryablehttp", -1, newBuffering},
	} {
		b.Run(upload.name, func(b *testing.B) {
			var peak uint64
			for b.Loop() {
				pismo := passporttest.NewServer(b, passporttest.Config{})
				peak = max(peak, stream(b, upload.over(b, pismo), pismo, upload.length))
			}
			b.ReportMetric(float64(peak), "peak-bytes")
		})
	}
}

func TestStream_IsNotBuffered(t *testing.T) {
	const limit = 8 << 20
	pismo := passporttest.NewServer(t, passporttest.Config{})
	if peak := stream(t, newStreaming(t, pismo), pismo, -1); peak > limit {
		t.Errorf("the heap grew by %d bytes during an upload of %d", peak, uploadSize)
	}
}

func newStreaming(tb testing.TB, pismo *passporttest.Server) http.RoundTripper {
	tb.Helper()
	return newTransport(tb, transport.Config{
		Source:  newSource(tb, tokensource.Config{Issuer: newPassport(pismo)}),
		Hosts:   []string{pismo.Host()},
		Account: tokensource.Organization(),
	})
}

// newBuffering returns go-retryablehttp over what authorizes in its stead, for
// a token of x/oauth2's the fake server would refuse.
func newBuffering(tb testing.TB, pismo *passporttest.Server) http.RoundTripper {
	tb.Helper()
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = &http.Client{Transport: newStreaming(tb, pismo)}
	return &retryablehttp.RoundTripper{Client: client}
}

// stream uploads, announcing length, and returns by how much the heap grew
// meanwhile, at its peak.
func stream(tb testing.TB, rt http.RoundTripper, pismo *passporttest.Server, length int64) uint64 {
	tb.Helper()
	upload(tb, rt, pismo.URL(), 1<<10, 1<<10) // Token and connection are there then.
	idle := liveHeap()
	peak := peakHeapDuring(func() { upload(tb, rt, pismo.URL(), uploadSize, length) })
	if d := pismo.Deliveries(); d[len(d)-1].Length != uploadSize {
		tb.Fatalf("%d bytes arrived", d[len(d)-1].Length)
	}
	return peak - min(peak, idle)
}

// upload sends size bytes, announcing length.
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

// What a Source needs for each account, everything included: the account's id,
// the entry in the map, the lease, and the token.
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

// heapObjects is the memory in objects, dead ones that the collector has not
// found yet included. Reading it does not stop the world.
const heapObjects = "/memory/classes/heap/objects:bytes"

func heap() uint64 {
	sample := []metrics.Sample{{Name: heapObjects}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// liveHeap is heap when all that is dead has been collected. The second
// collection takes what the first one's finalizers and sync.Pools held.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	return heap()
}

// peakHeapDuring returns the most memory that was seen while work was done.
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
