// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/transport"
)

func TestRefusal_TruncatedBodyReachesCaller(t *testing.T) {
	failure := errors.New("connection reset")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		m := &fakeIssuer{}
		made := &spyFactory{content: `{"code":"EUPI`, fail: failure}
		w := &fakeBase{answer: func(sentRequest) (*http.Response, error) {
			resp := respond(http.StatusUnauthorized, "")
			resp.Body = made.body()
			return resp, nil
		}}
		r, err := trySend(newTransport(t, m, w), newRequest(t, method, target, nil))
		if r.status != http.StatusUnauthorized || r.body != made.content || !errors.Is(err, failure) {
			t.Errorf("%s: got %+v with error %v, want the partial body and the error", method, r, err)
		}
		wantSent(t, w, 1)
		for _, body := range made.made {
			body.wantClosedOnce(t)
		}
	}
}

func TestRefusal_BusinessAnswerIsUnchanged(t *testing.T) {
	const body = "{\n\t\"code\": \"EUPI0120\", \"message\": \"Transfer amount is greater than the account available limits\"}\n\x00"
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		body := body
		if status == http.StatusUnauthorized {
			body = strings.TrimSuffix(body, "\x00") // JSON, that is.
		}
		m := &fakeIssuer{}
		var deliveries atomic.Int32
		server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			deliveries.Add(1)
			w.Header().Set("X-Cid", "c1")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
		r := post(t, newTransport(t, m, transport.NewBase(), listing(server)), server.URL, "payment")
		wantStatus(t, r, status)
		if r.body != body || r.header.Get("X-Cid") != "c1" {
			t.Errorf("got %q, want %q", r.body, body)
		}
		if n := deliveries.Load(); n != 1 {
			t.Errorf("the payment was delivered %d times, want once", n)
		}
		wantIssued(t, m, 1)
	}
}

// A payment with an unrecognized refusal is not replayed, but its token is
// renewed.
func TestUnrecognized_RenewsForNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{}
		w.answer = func(s sentRequest) (*http.Response, error) {
			if _, ok := m.account(s.header); !ok {
				return respond(http.StatusUnauthorized, `{"code":"unknown"}`), nil
			}
			return respond(http.StatusOK, ""), nil
		}
		rt := newTransport(t, m, w)
		get(t, rt, target)
		m.revoke()
		r := post(t, rt, target, "payment")
		if r.status != http.StatusUnauthorized || r.verdict != transport.Unrecognized || r.body != `{"code":"unknown"}` {
			t.Errorf("got %+v, want the 401", r)
		}
		wantSent(t, w, 2)
		synctest.Wait()
		wantIssued(t, m, 2)
		wantStatus(t, post(t, rt, target, "payment"), http.StatusOK)
		wantSent(t, w, 3)
		wantIssued(t, m, 2)
	})
}

// A span around the base ends at the end of the body, and must not include the
// renewal. A body that is not read to its end costs the connection.
func TestRefusal_IsClosedBeforeRenewal(t *testing.T) {
	refusal := &spy{Reader: strings.NewReader("refused")}
	m := &fakeIssuer{}
	m.before = func(context.Context) error {
		if m.issuances() == 1 {
			refusal.wantClosedOnce(t)
			if refusal.read.Load() != int64(len("refused")) {
				t.Error("the body was not read")
			}
		}
		return nil
	}
	w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
		resp := respond(http.StatusOK, "")
		if s.number == 1 {
			resp.StatusCode, resp.Body = http.StatusUnauthorized, refusal
		}
		return resp, nil
	}}
	wantStatus(t, get(t, newTransport(t, m, w), target), http.StatusOK)
	refusal.wantClosedOnce(t)
}
