// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A reply is a response with its whole body.
type reply struct {
	status  int
	proto   string
	header  http.Header
	trailer http.Header
	body    string
}

// A client sends requests to one server.
type client struct {
	*http.Client

	url string // of the server, without a slash at the end
}

// newClient returns a client of the server at an address, in plain HTTP. It
// keeps the given number of connections.
func newClient(tb testing.TB, address string, connections int) *client {
	base := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}
	tb.Cleanup(base.CloseIdleConnections)
	return &client{&http.Client{Transport: base, CheckRedirect: withoutRedirects}, "http://" + address}
}

func withoutRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// send sends a request and returns the answer, read to its end. Header fields
// come in pairs of name and value.
func (c *client) send(method, path string, body io.Reader, header ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return c.read(req)
}

// read makes a request and reads the answer.
func (c *client) read(req *http.Request) (reply, error) {
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	text, err := io.ReadAll(resp.Body)
	got := reply{resp.StatusCode, resp.Proto, resp.Header, resp.Trailer, string(text)}
	return got, errors.Join(err, resp.Body.Close())
}

// get is send for a GET that must be answered.
func (c *client) get(tb testing.TB, path string, header ...string) reply {
	tb.Helper()
	return c.mustSend(tb, http.MethodGet, path, "", header...)
}

// mustSend is send for a request that must be answered.
func (c *client) mustSend(tb testing.TB, method, path, body string, header ...string) reply {
	tb.Helper()
	got, err := c.send(method, path, strings.NewReader(body), header...)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

// A load sends requests over some connections without a break.
type load struct {
	made    atomic.Int64
	end     context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex
	failures []error
}

// startLoad starts a load. Each worker calls request repeatedly, with the
// number of the worker and the number of its earlier calls. The load ends with
// the test at the latest.
func startLoad(tb testing.TB, workers int, request func(worker, n int) error) *load {
	tb.Helper()
	ctx, end := context.WithTimeout(context.Background(), 2*testTimeout)
	l := &load{end: end}
	for worker := range workers {
		l.workers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := request(worker, n); err != nil {
					l.fail(err)
				}
				l.made.Add(1)
			}
		})
	}
	tb.Cleanup(func() { l.stop() })
	return l
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, err)
}

// stop ends the load. It returns the number of requests, and an error if some
// of them failed.
func (l *load) stop() (int, error) {
	l.end()
	l.workers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) == 0 {
		return int(l.made.Load()), nil
	}
	return int(l.made.Load()), fmt.Errorf("%d of %d requests failed, the first with: %w", len(l.failures), l.made.Load(), l.failures[0])
}

// awaitMore waits until n more requests were made.
func (l *load) awaitMore(tb testing.TB, n int) {
	tb.Helper()
	enough := l.made.Load() + int64(n)
	await(tb, "more requests are made", func() bool { return l.made.Load() >= enough })
}

// wantOK returns an error unless the status is a success and the body contains
// body.
func wantOK(got reply, err error, body string) error {
	switch {
	case err != nil:
		return err
	case got.status != http.StatusOK || !strings.Contains(got.body, body):
		return fmt.Errorf("status %d and body %q", got.status, got.body)
	}
	return nil
}

// concurrently makes n concurrent calls of do.
func concurrently(n int, do func(i int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { do(i) })
	}
	running.Wait()
}

// await waits until done returns true. It is for events of another process that
// sends no signal.
func await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(testTimeout); time.Now().Before(deadline); <-look.C {
		if done() {
			return
		}
	}
	tb.Fatalf("it does not come to pass that %s", what)
}

func check[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}
