// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

const callers = 1000

// A revocation is the revocation of a token while many callers use it, each for
// a request over loopback.
type revocation struct {
	name      string
	staggered time.Duration // the time in which the callers begin
	latency   time.Duration // of an issuance
}

var revocations = []revocation{
	{"callers=together/latency=0", 0, 0},
	{"callers=staggered/latency=0", 200 * time.Millisecond, 0},
	{"callers=together/latency=200ms", 0, 200 * time.Millisecond},
	{"callers=staggered/latency=200ms", 200 * time.Millisecond, 200 * time.Millisecond},
}

func BenchmarkRevocation(b *testing.B) {
	for _, r := range revocations {
		b.Run(r.name, func(b *testing.B) {
			issuances, failed := 0, 0
			for b.Loop() {
				i, f := r.run(b)
				issuances, failed = max(issuances, i), max(failed, f)
			}
			b.ReportMetric(float64(issuances), "issuances")
			b.ReportMetric(float64(failed), "failed")
		})
	}
}

func TestRevocation_OneIssuance(t *testing.T) {
	for _, r := range revocations {
		t.Run(r.name, func(t *testing.T) {
			if issuances, failed := r.run(t); issuances != 1 || failed != 0 {
				t.Errorf("%d issuances, want 1; %d of %d callers got a 401 or an error, want 0", issuances, failed, callers)
			}
		})
	}
}

// run returns how many tokens were issued after the revocation, and how many
// callers did not get a 200.
func (r revocation) run(tb testing.TB) (issuances, failed int) {
	tb.Helper()
	pismo := passporttest.NewServer(tb, passporttest.Config{TokenLatency: r.latency})
	client := &http.Client{Transport: newTransport(tb, transport.Config{
		Source:  newSource(tb, tokensource.Config{Issuer: newPassport(pismo)}),
		Hosts:   []string{pismo.Host()},
		Account: tokensource.Organization(),
	})}
	defer client.CloseIdleConnections()
	url := pismo.URL() + "/v1/organization"
	if !fetch(client, url) {
		tb.Fatal("the first request failed")
	}
	before := pismo.Counts().Issued
	pismo.RevokeAll()

	var bad atomic.Int64
	callTogether(r.staggered/callers, func(int) {
		if !fetch(client, url) {
			bad.Add(1)
		}
	})
	counts := pismo.Counts()
	if counts.TotalRefused() == 0 {
		tb.Error("no caller sent the revoked token")
	}
	return counts.Issued - before, int(bad.Load())
}

// A Source hands out a token in its renewal window at once. No caller waits for
// the renewal.
func BenchmarkRenewalWindow(b *testing.B) {
	var waits []time.Duration
	for b.Loop() {
		waits = append(waits, renewalWindow(b)...)
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)*99/100].Nanoseconds()), "p99-ns")
}

// renewalWindow returns how long each of the callers waited.
func renewalWindow(tb testing.TB) []time.Duration {
	tb.Helper()
	// The renewal window begins at a random point from 70 to 80 % of the
	// lifetime, and ends at 90 %. So the token is in its window at 82 %.
	issuer := &issuer{lifetime: 4 * time.Second, latency: 200 * time.Millisecond}
	inWindow := time.After(issuer.lifetime * 82 / 100)
	src := newSource(tb, tokensource.Config{Issuer: issuer})
	ctx, acct := tb.Context(), account(tb, 0)
	old, err := src.Token(ctx, acct)
	if err != nil {
		tb.Fatal(err)
	}
	<-inWindow
	waits := make([]time.Duration, callers)
	var olds atomic.Int64
	callTogether(0, func(i int) {
		start := time.Now()
		tok, err := src.Token(ctx, acct)
		waits[i] = time.Since(start)
		if err == nil && tok == old {
			olds.Add(1)
		}
	})
	if olds.Load() != callers {
		tb.Errorf("%d of %d callers got the token that is being renewed", olds.Load(), callers)
	}
	return waits
}

// callTogether runs call for each caller, each a pause after the one before,
// and waits for all.
func callTogether(pause time.Duration, call func(i int)) {
	begin := make(chan struct{})
	var start time.Time
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			<-begin
			if pause > 0 {
				<-time.After(time.Until(start.Add(time.Duration(i) * pause)))
			}
			call(i)
		})
	}
	start = time.Now()
	close(begin)
	all.Wait()
}
