// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// A monitoredBody is a body that arrives in pieces. It fails the test if two
// goroutines read it at once, or if it is closed during a read.
type monitoredBody struct {
	tb     testing.TB
	pieces chan string // closed at the end
	rest   string
	fail   error // returned instead of io.EOF

	busy   atomic.Bool
	reads  atomic.Int32
	closed atomic.Int32
}

func newMonitoredBody(tb testing.TB, pieces ...string) *monitoredBody {
	u := &monitoredBody{tb: tb, pieces: make(chan string, 16)}
	for _, piece := range pieces {
		u.pieces <- piece
	}
	return u
}

func (u *monitoredBody) enter(what string) (leave func()) {
	if !u.busy.CompareAndSwap(false, true) {
		u.tb.Errorf("%s during another call", what)
	}
	return func() { u.busy.Store(false) }
}

func (u *monitoredBody) Read(p []byte) (int, error) {
	defer u.enter("read")()
	u.reads.Add(1)
	if u.closed.Load() > 0 {
		u.tb.Error("read after close")
	}
	if u.rest == "" {
		piece, ok := <-u.pieces
		if !ok && u.fail != nil {
			return 0, u.fail
		}
		if !ok {
			return 0, io.EOF
		}
		u.rest = piece
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *monitoredBody) Close() error {
	defer u.enter("close")()
	u.closed.Add(1)
	return nil
}

func (u *monitoredBody) wantClosedOnce(tb testing.TB) {
	tb.Helper()
	if n := u.closed.Load(); n != 1 {
		tb.Errorf("the body was closed %d times, want once", n)
	}
}

// knownLengthRequest returns a request whose body has a known length and can be
// read once only.
func knownLengthRequest(tb testing.TB, url string, body io.Reader, length int) *http.Request {
	tb.Helper()
	req := newRequest(tb, http.MethodPost, url, body)
	req.ContentLength = int64(length)
	return req
}

// The client of a proxy can be slow. The platform gets the request before its
// upload is complete.
func TestRecording_SendsHeadBeforeUpload(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := &fakeIssuer{}
		arrived := make(chan struct{})
		server, base := newTLSServer(t, http2, m.guard(func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			_, _ = io.Copy(w, r.Body)
		}))
		body := newMonitoredBody(t)
		go func() {
			select {
			case <-arrived:
			case <-t.Context().Done():
			}
			for _, piece := range []string{"pay", "ment"} {
				body.pieces <- piece
			}
			close(body.pieces)
		}()
		rt := newTransport(t, m, base, listing(server))
		if r := send(t, rt, knownLengthRequest(t, server.URL, body, len("payment"))); r.body != "payment" {
			t.Errorf("HTTP/2 %t: the server got %q", http2, r.body)
		}
		body.wantClosedOnce(t)
	}
}

// A server may refuse a request while the body is still being sent. A base that
// has returned the 401 may continue to read that body (golang/go#51907).
func TestRecording_ReplaysUnfinishedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, abandon := range []string{"closes", "reads on", "reads on, then closes", "does nothing"} {
			body := newMonitoredBody(t, "pay")
			m := &fakeIssuer{}
			sent, overtaken := 0, make(chan struct{})
			var got string
			rt := newTransport(t, m, roundTripper(func(req *http.Request) (*http.Response, error) {
				if sent++; sent > 1 {
					content, err := io.ReadAll(req.Body)
					got = string(content)
					return respond(http.StatusOK, ""), errors.Join(err, req.Body.Close())
				}
				_, _ = io.ReadFull(req.Body, make([]byte, 2))
				go func() {
					if strings.HasPrefix(abandon, "reads on") {
						_, _ = io.Copy(io.Discard, req.Body)
					}
					if strings.HasSuffix(abandon, "closes") {
						_ = req.Body.Close()
					}
					close(overtaken)
				}()
				synctest.Wait()
				return respond(http.StatusUnauthorized, ""), nil
			}))
			go func() {
				sleep(time.Minute)
				body.pieces <- "ment"
				sleep(time.Minute)
				close(body.pieces)
			}()
			r := send(t, rt, knownLengthRequest(t, target, body, len("payment")))
			if r.status != http.StatusOK || got != "payment" {
				t.Errorf("%s: got status %d, and the replay had %q", abandon, r.status, got)
			}
			<-overtaken
			synctest.Wait()
			body.wantClosedOnce(t)
		}
	})
}

// The test uses a real server, over both versions of HTTP.
func TestRecording_ReplaysEarly401(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := &fakeIssuer{}
		refused := make(chan struct{})
		var once sync.Once
		server, base := newTLSServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			if _, ok := m.account(r.Header); !ok {
				_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is full duplex.
				w.Header().Set("Content-Length", "0")
				w.WriteHeader(http.StatusUnauthorized)
				_ = http.NewResponseController(w).Flush()
				once.Do(func() { close(refused) })
				if !http2 { // With HTTP/2, the answer ends with the handler.
					_, _ = io.Copy(io.Discard, r.Body) // The answer may be lost if the server closes the connection early.
				}
				return
			}
			_, _ = io.Copy(w, r.Body)
		})
		rt := newTransport(t, m, base, listing(server))
		get(t, rt, server.URL)
		m.revoke()
		body := newMonitoredBody(t, "pay")
		go func() {
			<-refused
			body.pieces <- "ment"
			close(body.pieces)
		}()
		if r := send(t, rt, knownLengthRequest(t, server.URL, body, len("payment"))); r.status != http.StatusOK || r.body != "payment" {
			t.Errorf("HTTP/2 %t: got %+v, want the whole payment", http2, r)
		}
		body.wantClosedOnce(t)
	}
}

// A request with "Expect: 100-continue" can get a 401 before its body is read.
func TestRecording_ReplaysAfterExpectContinue(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := m.account(r.Header); !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	base := transport.NewBase()
	base.ExpectContinueTimeout = time.Minute
	rt := newTransport(t, m, base, listing(server))
	get(t, rt, server.URL)
	m.revoke()
	body := newMonitoredBody(t, "payment")
	close(body.pieces)
	req := knownLengthRequest(t, server.URL, body, len("payment"))
	req.Header.Set("Expect", "100-continue")
	if r := send(t, rt, req); r.status != http.StatusOK || r.body != "payment" {
		t.Errorf("got %+v, want the payment", r)
	}
	body.wantClosedOnce(t)
}

// The reader of a body sets the trailer, and a replay must not read it at the
// same time. The program would end with "concurrent map iteration and map
// write".
func TestRecording_NotWithTrailers(t *testing.T) {
	m, w := &fakeIssuer{}, &fakeBase{answer: always(http.StatusUnauthorized, "")}
	req := newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment")))
	req.ContentLength = int64(len("payment"))
	req.Trailer = http.Header{"X-Sum": nil}
	wantStatus(t, send(t, newTransport(t, m, w), req), http.StatusUnauthorized)
	wantSent(t, w, 1)
}

// Caddy's reverse_proxy makes an empty Trailer for every request with a body,
// and changes it while the body is read. Such requests must be recorded, or no
// payment through Caddy would be replayed. No attempt may get that Trailer, or
// the program can end.
func TestRecording_WithEmptyTrailer(t *testing.T) {
	m := &fakeIssuer{}
	var sent []string
	rt := newTransport(t, m, roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Trailer != nil {
			t.Errorf("an attempt shares the trailer %v", req.Trailer)
		}
		content, err := io.ReadAll(req.Body)
		sent = append(sent, string(content))
		status := http.StatusUnauthorized
		if len(sent) > 1 {
			status = http.StatusCreated
		}
		return respond(status, ""), errors.Join(err, req.Body.Close())
	}))
	req := newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment")))
	req.ContentLength = int64(len("payment"))
	req.Trailer = http.Header{}
	wantStatus(t, send(t, rt, req), http.StatusCreated)
	if !slices.Equal(sent, []string{"payment", "payment"}) {
		t.Errorf("sent %q, want the payment twice", sent)
	}
	if req.Trailer == nil {
		t.Error("the caller's request has changed")
	}
}
