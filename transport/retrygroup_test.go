// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/transport"
)

// A load balancer tries another upstream after each failure. Without a group,
// each of these attempts would be replayed.
func TestRetryGroup_ReplaysOnce(t *testing.T) {
	m := &fakeIssuer{}
	sent := 0
	base := roundTripper(func(req *http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
	})
	rt := newTransport(t, m, base)
	ctx := transport.ContextWithRetryGroup(t.Context(), new(transport.RetryGroup))
	for range 3 {
		resp := send(t, rt, newRequest(t, http.MethodPost, target, strings.NewReader("x")).WithContext(ctx))
		wantStatus(t, resp, http.StatusUnauthorized)
		if resp.verdict != transport.TokenRefused {
			t.Errorf("the verdict is %q", resp.verdict)
		}
	}
	if sent != 4 {
		t.Errorf("sent %d times, want 3 attempts and one replay", sent)
	}
	wantIssued(t, m, 2)
}

// An attempt that fails without a replay leaves the replay for the next
// attempt.
func TestRetryGroup_KeepsUnusedReplay(t *testing.T) {
	m := &fakeIssuer{}
	var statuses []int
	base := roundTripper(func(req *http.Request) (*http.Response, error) {
		status := http.StatusServiceUnavailable
		if len(statuses) == 1 {
			status = http.StatusUnauthorized
		} else if len(statuses) == 2 {
			status = http.StatusOK
		}
		statuses = append(statuses, status)
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
	})
	rt := newTransport(t, m, base)
	ctx := transport.ContextWithRetryGroup(t.Context(), new(transport.RetryGroup))
	post := func() reply {
		return send(t, rt, newRequest(t, http.MethodPost, target, strings.NewReader("x")).WithContext(ctx))
	}
	wantStatus(t, post(), http.StatusServiceUnavailable)
	wantStatus(t, post(), http.StatusOK)
	if len(statuses) != 3 {
		t.Errorf("sent %d times, want 3", len(statuses))
	}
}

// A program with a generated client does not see the response.
func TestAttempts_TellVerdictOfLatest(t *testing.T) {
	w := &fakeBase{}
	rt := newTransport(t, &fakeIssuer{}, w)
	attempts := new(transport.RetryGroup)
	ctx := transport.ContextWithRetryGroup(t.Context(), attempts)
	for _, test := range []struct {
		status int
		body   string
		want   transport.Verdict
	}{
		{http.StatusOK, "", ""},
		{http.StatusUnauthorized, business, transport.RequestRefused},
		{http.StatusServiceUnavailable, "", ""},
		{http.StatusUnauthorized, "", transport.TokenRefused},
		{http.StatusOK, "", ""},
	} {
		w.answer = always(test.status, test.body)
		wantStatus(t, send(t, rt, newRequest(t, http.MethodPost, target, strings.NewReader("x")).WithContext(ctx)), test.status)
		if verdict, ok := attempts.Verdict(); verdict != test.want || ok != (test.want != "") {
			t.Errorf("the verdict after %d %s is %q, want %q", test.status, test.body, verdict, test.want)
		}
	}
	if verdict, ok := (*transport.RetryGroup)(nil).Verdict(); ok || verdict != "" {
		t.Errorf("nil has the verdict %q", verdict)
	}
}
