// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/transport"
)

// Any other body streams, and the caller gets its 401.
func TestReplay_NeedsGetBodyOrShortBody(t *testing.T) {
	synctest.Test(t, replayNeedsGetBodyOrShortBody)
}

func replayNeedsGetBodyOrShortBody(t *testing.T) {
	const limit = 64 << 10
	type kind struct{ length, getBody bool }
	for _, size := range []int{0, 1, limit, limit + 1} {
		for _, k := range []kind{{true, true}, {true, false}, {false, true}, {false, false}} {
			for _, max := range []int64{0, -1, 1} {
				m := &fakeIssuer{}
				w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
					if s.number == 1 {
						m.revoke()
					}
					return m.answer(s)
				}}
				rt := newTransport(t, m, w, func(c *transport.Config) { c.MaxReplayBody = max })
				content := strings.Repeat("x", size)
				req := newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader(content)))
				if k.length {
					req.ContentLength = int64(size)
				}
				if k.getBody {
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
				}
				effective := max
				if max == 0 {
					effective = limit
				}
				// A length of 0 with a body means an unknown
				// length.
				buffered := k.length && size > 0 && int64(size) <= effective
				want, sendings := http.StatusUnauthorized, 1
				if k.getBody || buffered {
					want, sendings = http.StatusOK, 2
				}
				r := send(t, rt, req)
				if r.status != want || len(w.requests()) != sendings {
					t.Errorf("%d bytes, %+v, MaxReplayBody %d: got status %d after %d sendings, want %d after %d",
						size, k, max, r.status, len(w.requests()), want, sendings)
				}
				for _, s := range w.requests() {
					if s.body != content || s.contentLength != req.ContentLength {
						t.Errorf("%d bytes, %+v: sending %d had %d bytes, Content-Length %d", size, k, s.number, len(s.body), s.contentLength)
					}
				}
				synctest.Wait()
				wantIssued(t, m, 2) // The token is renewed for the next request.
			}
		}
	}
}

func TestReplay_AddsNoBody(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "NoBody": http.NoBody} {
		m := &fakeIssuer{}
		base := roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Body != nil && req.Body != http.NoBody {
				t.Errorf("%s: it was sent with a body of type %T", name, req.Body)
			}
			if m.issuances() == 1 {
				m.revoke()
			}
			return m.answer(sentRequest{header: req.Header})
		})
		req := newRequest(t, http.MethodPost, target, nil)
		req.Body = body
		wantStatus(t, send(t, newTransport(t, m, base), req), http.StatusOK)
	}
}

func TestReplay_GetBodyErrorReturns401(t *testing.T) {
	m := &fakeIssuer{}
	w := &fakeBase{answer: always(http.StatusUnauthorized, "refused", "X-Cid", "1")}
	var outcome transport.RefusedResult
	rt := newTransport(t, m, w, func(c *transport.Config) {
		c.Hooks.Refused = func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
			return ctx, func(r transport.RefusedResult) { outcome = r }
		}
	})
	req := newRequest(t, http.MethodPost, target, bytes.NewReader([]byte("payment")))
	req.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") }
	r := send(t, rt, req)
	if r.status != http.StatusUnauthorized || r.body != "refused" || r.header.Get("X-Cid") != "1" {
		t.Errorf("got %+v, want the 401", r)
	}
	if outcome.Outcome != transport.OutcomeNotReplayable {
		t.Errorf("the outcome is %q, want %q", outcome.Outcome, transport.OutcomeNotReplayable)
	}
	wantSent(t, w, 1)
	wantIssued(t, m, 2) // The next request gets a new token.
}
