// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

func TestReplay_NotFor403(t *testing.T) {
	for _, refusal := range passporttest.Refusals() {
		if refusal.Status != http.StatusForbidden {
			continue
		}
		m := &fakeIssuer{}
		w := &fakeBase{answer: always(refusal.Status, refusal.Body, "WWW-Authenticate", `Bearer error="invalid_token"`)}
		r := get(t, newTransport(t, m, w), target)
		if r.status != refusal.Status || r.body != refusal.Body || r.verdict != "" {
			t.Errorf("%s: got %+v, want the unchanged answer without a verdict", refusal.Name, r)
		}
		wantSent(t, w, 1)
		wantIssued(t, m, 1)
	}
}

func TestClassify_OverridesVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			body       string
			rules      transport.Verdict
			classified transport.Verdict
			sent       int
			issued     int
		}{
			{`{"code":"EUPI0120"}`, transport.RequestRefused, transport.TokenRefused, 2, 2},
			{``, transport.TokenRefused, transport.RequestRefused, 1, 1},
			{``, transport.TokenRefused, transport.AccountRefused, 1, 1},
			{``, transport.TokenRefused, transport.Unrecognized, 1, 2},
			{``, transport.TokenRefused, "", 1, 1},
			{``, transport.TokenRefused, "made up", 1, 1},
		} {
			m, w := &fakeIssuer{}, answers401(test.body, "X-Cid", "c1")
			var request *http.Request
			rt := newTransport(t, m, w, func(c *transport.Config) {
				c.Classify = func(r *transport.Refusal) transport.Verdict {
					if r.Verdict != test.rules || r.Request != request || string(r.Body) != test.body || !r.Complete || r.TokenExpired || r.Header.Get("X-Cid") != "c1" {
						t.Errorf("Classify was called with %+v", r)
					}
					return test.classified
				}
			})
			request = newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
			r := send(t, rt, request)
			if r.verdict != test.classified || r.body != test.body {
				t.Errorf("got %+v, want the 401 with verdict %q", r, test.classified)
			}
			synctest.Wait()
			wantSent(t, w, test.sent)
			wantIssued(t, m, test.issued)
		}
	})
}

// Refusal.Complete reports whether Body is the whole body.
func TestClassify_SeesDecodedBody(t *testing.T) {
	for _, test := range []struct {
		name     string
		answer   []string
		body     string
		complete bool
	}{
		{"gzip", []string{gzipText(t, "decoded"), "Content-Encoding", "gzip"}, "decoded", true},
		{"x-gzip", []string{gzipText(t, "decoded"), "Content-Encoding", "X-GZIP"}, "decoded", true},
		{"br", []string{"\x0b\x02\x80", "Content-Encoding", "br"}, "", false},
		{"large", []string{strings.Repeat("x", 64<<10+1)}, strings.Repeat("x", 64<<10), false},
		{"large when decoded", []string{gzipText(t, strings.Repeat("x", 64<<10+1)), "Content-Encoding", "gzip"}, strings.Repeat("x", 64<<10), false},
	} {
		rt := newTransport(t, &fakeIssuer{}, answers401(test.answer[0], test.answer[1:]...), func(c *transport.Config) {
			c.Classify = func(r *transport.Refusal) transport.Verdict {
				if string(r.Body) != test.body || r.Complete != test.complete {
					t.Errorf("%s: got %d bytes, complete: %t; want %d, %t", test.name, len(r.Body), r.Complete, len(test.body), test.complete)
				}
				return r.Verdict
			}
		})
		if r := get(t, rt, target); r.body != test.answer[0] {
			t.Errorf("%s: the caller did not get the bytes unchanged", test.name)
		}
	}
}

func TestVerdictOf_OnlyFor401OfTransport(t *testing.T) {
	if verdict, ok := transport.VerdictOf(respond(http.StatusUnauthorized, "")); ok {
		t.Errorf("a 401 from elsewhere has the verdict %q", verdict)
	}
	if r := get(t, newTransport(t, &fakeIssuer{}, answers401("")), target); r.verdict != transport.TokenRefused {
		t.Errorf("the transport's 401 has the verdict %q", r.verdict)
	}
}
