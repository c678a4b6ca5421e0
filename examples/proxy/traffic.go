// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	burstSize = 1000
	// burstTimeout bounds each request of a burst, and the wait for all of them.
	burstTimeout = 20 * time.Second
	// trafficInterval is the time between two requests of the page's own traffic.
	trafficInterval = 100 * time.Millisecond
	maxTraffic      = 32
)

// A burst is a thousand concurrent requests. Its figures come from the fake
// server, except Failed, which the callers count.
type burst struct {
	Running   bool    `json:"running"`
	Revoked   bool    `json:"revoked"` // their token was revoked in flight
	Requests  int     `json:"requests"`
	Refused   int     `json:"refused"`
	Issuances int     `json:"issuances"`
	Failed    int     `json:"failed"`
	Took      float64 `json:"took"` // in milliseconds

	barrier *barrier
}

// A barrier holds the requests of a burst until all have their token.
type barrier struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
	// opening is called once, before the barrier opens.
	opening func()
}

func newBarrier(n int, opening func()) *barrier {
	return &barrier{missing: n, open: make(chan struct{}), opening: opening}
}

// arrive counts a request. Each request arrives once, even if it fails before
// the barrier.
func (g *barrier) arrive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.missing--; g.missing == 0 {
		g.opening()
		close(g.open)
	}
}

func (g *barrier) wait(ctx context.Context) {
	select {
	case <-g.open:
	case <-ctx.Done():
	}
}

// A monitoredBase records each attempt in the trace of its request. It holds
// the first attempt of a burst's requests at the barrier.
type monitoredBase struct{ next http.RoundTripper }

func (b monitoredBase) RoundTrip(req *http.Request) (*http.Response, error) {
	t := traceFrom(req.Context())
	first, done := t.attempt()
	if first && t.burst != nil && t.burst.barrier != nil {
		t.burst.barrier.arrive()
		t.burst.barrier.wait(req.Context())
	}
	resp, err := b.next.RoundTrip(req)
	done(resp, err)
	return resp, err
}

// sendBurst sends a thousand requests of alice. If revoked is true, it revokes
// her token after all requests have it and before they reach the platform.
func (p *page) sendBurst(ctx context.Context, revoked bool) {
	ctx, cancel := context.WithTimeout(ctx, burstTimeout)
	defer cancel()
	p.busy.Lock() // Other traffic would distort the figures.
	defer p.busy.Unlock()
	b := &burst{Running: true, Revoked: revoked}
	if revoked {
		p.renewEarly(ctx)
		p.pace(ctx)
		b.barrier = newBarrier(burstSize, func() { p.fake.Revoke(p.login.accounts[alice]) })
	}
	before := p.fake.Counts().Accounts[p.login.accounts[alice]]
	p.show(b)
	began := time.Now()
	failed := p.sendAll(ctx, b)
	after := p.fake.Counts().Accounts[p.login.accounts[alice]]
	p.show(&burst{
		Revoked:   revoked,
		Requests:  burstSize,
		Refused:   after.Refused - before.Refused,
		Issuances: after.Issued - before.Issued,
		Failed:    failed,
		Took:      milliseconds(time.Since(began)),
	})
}

// sendAll sends the requests of a burst, and returns the number of failures.
func (p *page) sendAll(ctx context.Context, b *burst) int {
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		failed int
	)
	for range burstSize {
		all.Go(func() {
			t := p.send(ctx, alice, b)
			if b.barrier != nil && !t.sent() {
				b.barrier.arrive()
			}
			if t.Status != http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				failed++
			}
		})
	}
	all.Wait()
	return failed
}

// renewEarly renews alice's token if the proxy might renew it during the burst.
// The figures would otherwise include that renewal.
func (p *page) renewEarly(ctx context.Context) {
	token, ok := p.monitor.token(alice)
	if ok && token.left(time.Now()) < token.lifetime*2/5 {
		p.pace(ctx)
		p.fake.Revoke(p.login.accounts[alice])
	}
	p.send(ctx, alice, nil)
}

// startTraffic sends requests of both users while a page is open. It stops when
// ctx is done or the returned function is called. That function waits for the
// last request.
func (p *page) startTraffic(ctx context.Context) (stop func()) {
	if p == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { p.traffic(ctx) })
	return func() {
		cancel()
		all.Wait()
	}
}

func (p *page) traffic(ctx context.Context) {
	ticker := time.NewTicker(trafficInterval)
	defer ticker.Stop()
	var requests sync.WaitGroup
	defer requests.Wait()
	slots := make(chan struct{}, maxTraffic)
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if p.watchers.Load() == 0 || !p.busy.TryRLock() {
			continue
		}
		select {
		case slots <- struct{}{}:
			requests.Go(func() {
				defer func() { <-slots }()
				defer p.busy.RUnlock()
				p.send(ctx, []string{alice, bob}[n%2], nil)
			})
		default:
			p.busy.RUnlock()
		}
	}
}

// send sends a request of a user through the proxy, without a network. This
// saves two thousand connections.
func (p *page) send(ctx context.Context, user string, b *burst) *trace {
	ctx, cancel := context.WithTimeout(ctx, burstTimeout)
	defer cancel()
	t := &trace{burst: b}
	token, _, err := p.login.token(user)
	if err != nil {
		return t
	}
	ctx = context.WithValue(ctx, traceKey{}, t)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/v1/accounts/"+p.login.accounts[user], http.NoBody)
	if err != nil {
		return t
	}
	req.RemoteAddr = "127.0.0.1:0"
	req.Header.Set("Authorization", "Bearer "+token)
	p.proxy.ServeHTTP(&statusWriter{ResponseWriter: nowhere{http.Header{}}}, req)
	return t
}

// nowhere is a response writer that discards the answer.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header          { return n.header }
func (nowhere) WriteHeader(int)                {}
func (nowhere) Write(data []byte) (int, error) { return len(data), nil }
