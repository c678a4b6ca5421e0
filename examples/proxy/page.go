// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A page shows the proxy's work live. Its buttons make the fake server fail. A
// nil page shows nothing. For the real platform, the page is nil.
//
// The page shows account ids, which no other program should do. The ids are
// made up or come from the flags: the page exists for the fake server only, on
// loopback. It never shows a token or a secret.
type page struct {
	fake    *passporttest.Server
	login   *login
	monitor *monitor
	proxy   http.Handler // with the monitor around it

	watchers atomic.Int64
	// A burst holds busy for writing. Other traffic holds it for reading.
	busy sync.RWMutex
	// The running action holds acting. It is a channel, so that a caller can give
	// up.
	acting chan struct{}

	mu      sync.Mutex
	burst   *burst
	state   string
	secrets int       // how often the secret was rotated
	revoked time.Time // the last revocation
}

// The states of the fake server's token endpoint.
const (
	stateHealthy = "healthy"
	stateSlow    = "slow"
	stateFailing = "failing"
)

// slowness is the latency of a slow token endpoint.
const slowness = 2 * time.Second

//go:embed page
var pageFiles embed.FS

// newPage returns nil if there is no fake server.
func newPage(fake *passporttest.Server, login *login) *page {
	if fake == nil {
		return nil
	}
	return &page{fake: fake, login: login, monitor: newMonitor(login.accounts), acting: make(chan struct{}, 1), state: stateHealthy}
}

// join adds the page's hooks to events.
func (p *page) join(events events) events {
	if p == nil {
		return events
	}
	m := p.monitor
	events.source = tokensource.JoinHooks(events.source, tokensource.Hooks{Acquire: m.acquire, Issue: m.issue, Renew: m.renew})
	events.transport = transport.JoinHooks(events.transport, transport.Hooks{Refused: m.refused})
	return events
}

// base returns the base for requests to the platform. Nil means the default
// base.
func (p *page) base() http.RoundTripper {
	if p == nil {
		return nil
	}
	base := transport.NewBase()
	base.MaxConnsPerHost = 64 // The process may not be allowed a thousand connections.
	return monitoredBase{base}
}

// watch returns the proxy inside a monitor.
func (p *page) watch(proxy http.Handler) http.Handler {
	if p == nil {
		return proxy
	}
	p.proxy = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, ok := r.Context().Value(traceKey{}).(*trace)
		if !ok {
			t = new(trace)
		}
		t.began = time.Now()
		t.Name = r.Method + " " + r.URL.Path
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		completed := false
		defer func() {
			if errors.Is(r.Context().Err(), context.Canceled) {
				return // The caller has left without an outcome.
			}
			if !completed { // The proxy aborted the answer.
				status.status = http.StatusBadGateway
			}
			p.monitor.ended(t, status.status)
		}()
		proxy.ServeHTTP(status, r.WithContext(context.WithValue(r.Context(), traceKey{}, t)))
		completed = true
	})
	return p.proxy
}

// routes adds the page to a mux.
func (p *page) routes(mux *http.ServeMux) {
	if p == nil {
		return
	}
	files := http.FileServerFS(pageFiles)
	mux.Handle("/{$}", pageHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/index.html")
	})))
	mux.Handle("/page/", pageHeaders(files))
	mux.Handle("/page/events", pageHeaders(http.HandlerFunc(p.serveEvents)))
	mux.Handle("/page/counts", pageHeaders(http.HandlerFunc(p.serveCounts)))
	mux.Handle("/page/actions/{action}", pageHeaders(onlyPOST(sameOrigin(http.HandlerFunc(p.serveAction)))))
}

// contentSecurityPolicy allows only the page's own files.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func pageHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// serveCounts answers with the counts of the fake server.
func (p *page) serveCounts(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.fake.Counts())
}

const (
	eventInterval = 250 * time.Millisecond
	maxWatchers   = 16
)

// serveEvents sends snapshots, as server-sent events, until the client leaves.
func (p *page) serveEvents(w http.ResponseWriter, r *http.Request) {
	defer p.watchers.Add(-1)
	if p.watchers.Add(1) > maxWatchers {
		http.Error(w, "too many pages are open; close one", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	ticker := time.NewTicker(eventInterval)
	defer ticker.Stop()
	for {
		data, err := json.Marshal(p.snapshot(time.Now()))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "retry: 1000\ndata: %s\n\n", data); err != nil {
			return
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

// A statusWriter keeps the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *statusWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
