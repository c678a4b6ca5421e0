// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/transport"
)

// closesConnection makes the server close the connection with each 401. The
// next request then uses a new connection.
func closesConnection(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		next(w, r)
	}
}

// net/http resent a replay without a body while it had an old connection. On a
// new connection, the replay failed with "ContentLength=7 with Body length 0".
func TestReplay_SendsIdenticalRequest(t *testing.T) {
	for _, size := range []int{0, 1, 64 << 10, 1 << 20} {
		m := &fakeIssuer{}
		var mu sync.Mutex
		var arrived []sentRequest
		server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			arrived = append(arrived, sentRequest{method: r.Method, url: r.RequestURI, header: r.Header.Clone(), body: string(body), contentLength: r.ContentLength})
			mu.Unlock()
			closesConnection(m.guard(func(http.ResponseWriter, *http.Request) {}))(w, r)
		})
		request := func() *http.Request {
			req := newRequest(t, http.MethodPost, server.URL+"/a%2Fb?q=1&q=%2b", bytes.NewReader(bytes.Repeat([]byte("\x00\xffx"), size/3+size%3)))
			req.Header["x-odd-CASE"] = []string{"1", "2"}
			req.Header.Set("X-Tracking", "abc")
			return req
		}
		base := transport.NewBase()
		wantStatus(t, send(t, base, request()), http.StatusUnauthorized) // without the transport
		rt := newTransport(t, m, base, listing(server))
		wantStatus(t, get(t, rt, server.URL), http.StatusOK)
		m.revoke()
		wantStatus(t, send(t, rt, request()), http.StatusOK)
		wantIssued(t, m, 2)
		if len(arrived) != 4 {
			t.Fatalf("%d requests arrived, want 4", len(arrived))
		}
		plain, first, second := arrived[0], arrived[2], arrived[3]
		if len(first.header["Authorization"]) != 1 || slices.Equal(first.header["Authorization"], second.header["Authorization"]) {
			t.Errorf("the tokens are %q and then %q", first.header["Authorization"], second.header["Authorization"])
		}
		for _, s := range []sentRequest{first, second} {
			delete(s.header, "Authorization")
			if !sameRequest(plain, s) { // The replay adds no field, such as an idempotency key.
				t.Errorf("%d bytes: without the transport it is %.300v, with the transport %.300v", size, plain, s)
			}
		}
	}
}

func sameRequest(a, b sentRequest) bool {
	same := a.method == b.method && a.url == b.url && a.body == b.body && a.contentLength == b.contentLength && len(a.header) == len(b.header)
	for name := range a.header {
		same = same && slices.Equal(a.header[name], b.header[name])
	}
	return same
}

func TestReplay_HappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, body := range []string{"", `{"code":"unknown"}`, `{"error_code":"ERR9786"}`} {
				m := &fakeIssuer{}
				w := &fakeBase{answer: always(http.StatusUnauthorized, body)}
				// A retry must not cause a second replay.
				rt := newTransport(t, m, w, func(c *transport.Config) { c.RetryMethods = []string{http.MethodPost} })
				r := send(t, rt, newRequest(t, method, target, strings.NewReader("payment")))
				wantStatus(t, r, http.StatusUnauthorized)
				if r.body != body {
					t.Errorf("got body %q, want %q", r.body, body)
				}
				times := 2
				if r.verdict == transport.Unrecognized {
					times = 1
				}
				wantSent(t, w, times)
				synctest.Wait()
				wantIssued(t, m, 2)
			}
		}
	})
}

// An unrecognized refusal of a fresh token is no reason for a new token: the
// platform would refuse that token too.
func TestReplay_RefusedAgainRenewsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				return respond(http.StatusUnauthorized, ""), nil
			}
			return respond(http.StatusUnauthorized, `{"code":"unknown"}`), nil
		}}
		r := post(t, newTransport(t, m, w), target, "payment")
		if r.status != http.StatusUnauthorized || r.verdict != transport.Unrecognized {
			t.Errorf("got %+v, want the 401 of the replay", r)
		}
		synctest.Wait()
		wantIssued(t, m, 2)
	})
}

func TestRenewal_FailureReturns401(t *testing.T) {
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300 << 10} {
		body, want := strings.Repeat("x", size), transport.TokenRefused
		if size > 64<<10 {
			want = transport.Unrecognized // The body was not read to its end.
		}
		m := &fakeIssuer{}
		m.before = func(context.Context) error {
			if m.issuances() > 0 {
				return errors.New("down")
			}
			return nil
		}
		var deliveries atomic.Int32
		server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			deliveries.Add(1)
			w.Header().Set("X-Cid", "c1")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, body)
		})
		r := get(t, newTransport(t, m, transport.NewBase(), listing(server)), server.URL)
		wantStatus(t, r, http.StatusUnauthorized)
		if r.body != body || r.header.Get("X-Cid") != "c1" || r.verdict != want {
			t.Errorf("got %d bytes with X-Cid %q and verdict %q, want the whole 401 of %d bytes", len(r.body), r.header.Get("X-Cid"), r.verdict, size)
		}
		if n := deliveries.Load(); n != 1 {
			t.Errorf("it was delivered %d times, want once", n)
		}
	}
}

func TestReplay_StreamRenewsForNextRequest(t *testing.T) {
	synctest.Test(t, streamRenewsForNextRequest)
}

func streamRenewsForNextRequest(t *testing.T) {
	m, w := &fakeIssuer{}, &fakeBase{}
	w.answer = m.answer
	rt := newTransport(t, m, w)
	get(t, rt, target)
	m.revoke()
	r := send(t, rt, newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment"))))
	if r.status != http.StatusUnauthorized || r.verdict != transport.TokenRefused {
		t.Errorf("got %+v, want the 401", r)
	}
	wantSent(t, w, 2)
	synctest.Wait()
	wantStatus(t, post(t, rt, target, "payment"), http.StatusOK)
	wantSent(t, w, 3)
	wantIssued(t, m, 2)
}

func TestReplay_ReusesConnection(t *testing.T) {
	m := &fakeIssuer{}
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(func() http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, good := m.account(r.Header)
			_, _ = io.Copy(io.Discard, r.Body)
			if !good {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, strings.Repeat("refused ", 8000)) // Larger than the server's buffer.
			}
		}
	}())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	rt := newTransport(t, m, transport.NewBase(), listing(server))
	for range 3 {
		wantStatus(t, post(t, rt, server.URL, "payment"), http.StatusOK)
		m.revoke()
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened, want 1", n)
	}
}

// The base may still be reading the first body when it returns the 401
// (golang/go#51907). So the replay must have its own reader.
func TestReplay_HasReaderOfItsOwn(t *testing.T) {
	const size = 8 << 20
	m := &fakeIssuer{}
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := m.account(r.Header); !ok {
			control := http.NewResponseController(w)
			if err := control.EnableFullDuplex(); err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusUnauthorized)
			if err := control.Flush(); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, r.Body) // Reads the rest, so that the client continues to send.
			return
		}
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Errorf("%d bytes arrived, with error %v", n, err)
		}
	})
	rt := newTransport(t, m, transport.NewBase(), listing(server))
	for range 4 { // The budget is three renewals.
		content := bytes.Repeat([]byte("x"), size)
		req := newRequest(t, http.MethodPost, server.URL, bytes.NewReader(content))
		m.revoke()
		wantStatus(t, send(t, rt, req), http.StatusOK)
	}
}

func TestRenewal_CanceledCallerGets401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		ctx, leave := context.WithCancel(t.Context())
		m.before = func(issuance context.Context) error {
			if m.issuances() > 0 {
				leave()
				sleep(lifetime / 100)
			}
			return issuance.Err() // The issuance has its own context.
		}
		w := &fakeBase{answer: always(http.StatusUnauthorized, "refused")}
		rt := newTransport(t, m, w)
		r := send(t, rt, newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
		if r.status != http.StatusUnauthorized || r.body != "refused" {
			t.Errorf("got %+v, want the original 401", r)
		}
		wantSent(t, w, 1)
		sleep(lifetime / 100) // The issuance continues without the caller.
	})
}
