// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A pageFixture is a proxy with its page, in front of a fake server.
type pageFixture struct {
	page   *page
	fake   *passporttest.Server
	server *httptest.Server
}

func newPageFixture(t *testing.T) *pageFixture {
	t.Helper()
	fake := passporttest.NewServer(t, passporttest.Config{Lifetime: time.Minute})
	login := newLogin(map[string]string{alice: "102681871", bob: "102681872"})
	page := newPage(fake, login)
	proxy, err := newProxy(discardLogger, platform.FromFakeServer(fake), login, newEvents(discardLogger, new(eventCounters)), page)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return &pageFixture{page, fake, server}
}

// do sends a request with a time limit of 30 seconds. It returns the answer
// with its complete body.
func (f *pageFixture) do(t *testing.T, method, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, f.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := f.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func (f *pageFixture) act(t *testing.T, action string) {
	t.Helper()
	if resp, body := f.do(t, http.MethodPost, "/page/actions/"+action, nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: got status %d, %s, want 204", action, resp.StatusCode, body)
	}
}

// read sends a request of a user for their account, and returns the status.
func (f *pageFixture) read(t *testing.T, user string) int {
	t.Helper()
	return f.page.send(t.Context(), user, nil).Status
}

// events reads server-sent events for at most 30 seconds, until an event
// satisfies reached. It returns that event and everything that was sent.
func (f *pageFixture) events(t *testing.T, reached func(snapshot) bool) (snapshot, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server.URL+"/page/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if contentType := resp.Header.Get("Content-Type"); contentType != "text/event-stream" {
		t.Errorf("got Content-Type %q, want text/event-stream", contentType)
	}
	var sent bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(resp.Body, &sent))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var s snapshot
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		if reached(s) {
			return s, sent.String()
		}
	}
	t.Fatalf("the events end before the expected event: %v", lines.Err())
	return snapshot{}, ""
}

func TestPage_CountsOneIssuanceForThousand401s(t *testing.T) {
	f := newPageFixture(t)
	f.act(t, "revoke-thousand")
	s, _ := f.events(t, func(s snapshot) bool { return s.Burst != nil && !s.Burst.Running })
	if b := s.Burst; !b.Revoked || b.Requests != burstSize || b.Refused != burstSize || b.Issuances != 1 || b.Failed != 0 {
		t.Errorf("got %+v, want a revocation, %d requests, as many refusals and 1 issuance", *s.Burst, burstSize)
	}
	if s.Total.Replayed != burstSize || s.Total.Failed != 0 || s.Total.Answered != 0 {
		t.Errorf("got %+v, want %d replays and no failure", s.Total, burstSize)
	}
	counts := f.fake.Counts()
	if s.Issued != counts.Issued || s.Fake.Issued != counts.Issued || s.Fake.Refused != counts.TotalRefused() || s.Fake.Requests != counts.ResourceRequests {
		t.Errorf("the page shows %d and %+v, the fake server counted %+v", s.Issued, s.Fake, counts)
	}
	if len(s.Traces) == 0 || s.Traces[0].Alike != burstSize-1 {
		t.Errorf("the traces of the burst are not shown as a group: %+v", s.Traces)
	}
}

// The proxy may be about to renew the token ahead of expiry. That must not
// cause a second refusal of a thousand requests.
func TestPage_RenewsOldTokenBeforeBurst(t *testing.T) {
	f := newPageFixture(t)
	f.read(t, alice)
	f.page.monitor.mu.Lock()
	token := f.page.monitor.tokens[alice]
	token.issued = token.issued.Add(-45 * time.Second)
	f.page.monitor.tokens[alice] = token
	f.page.monitor.mu.Unlock()
	f.act(t, "revoke-thousand")
	if b := f.page.burst; b.Refused != burstSize || b.Issuances != 1 || b.Failed != 0 || f.fake.Counts().Issued != 3 {
		t.Errorf("got %+v and %d tokens, want %d refusals, 1 issuance, no failure and 3 tokens", *b, f.fake.Counts().Issued, burstSize)
	}
}

func TestPage_ShowsFailuresOfBurst(t *testing.T) {
	f := newPageFixture(t)
	f.read(t, alice)
	f.act(t, "fail")
	f.act(t, "revoke-thousand")
	if b := f.page.burst; b.Failed != burstSize || b.Issuances != 0 {
		t.Errorf("got %+v, want %d failures and no issuance", *b, burstSize)
	}
	if total := f.page.snapshot(time.Now()).Total; total.Failed != burstSize {
		t.Errorf("got %+v, want %d failures", total, burstSize)
	}
}

func TestPage_SendsThousandRequests(t *testing.T) {
	f := newPageFixture(t)
	f.act(t, "send-thousand")
	if b := f.page.burst; b.Revoked || b.Requests != burstSize || b.Refused != 0 || b.Issuances != 1 || b.Failed != 0 {
		t.Errorf("got %+v, want %d requests, 1 issuance and no refusal", *b, burstSize)
	}
	if counts := f.fake.Counts(); counts.Accepted != burstSize {
		t.Errorf("the fake server accepted %d requests", counts.Accepted)
	}
}

func TestPage_RevokesTokens(t *testing.T) {
	f := newPageFixture(t)
	for _, test := range []struct {
		action      string
		alice, bob  uint64 // serials
		refusedBoth int
	}{
		{"", 1, 2, 0},
		{"revoke-alice", 3, 2, 1},
		{"revoke-bob", 3, 4, 2},
		{"revoke-all", 5, 6, 4},
	} {
		if test.action != "" {
			f.act(t, test.action)
		}
		if got := []int{f.read(t, alice), f.read(t, bob)}; got[0] != http.StatusOK || got[1] != http.StatusOK {
			t.Errorf("after %q: got statuses %v, want 200 for both users", test.action, got)
		}
		s := f.page.snapshot(time.Now())
		if s.Accounts[0].Serial != test.alice || s.Accounts[1].Serial != test.bob || s.Fake.Refused != test.refusedBoth {
			t.Errorf("after %q: got %+v, %d refused", test.action, s.Accounts, s.Fake.Refused)
		}
	}
	s := f.page.snapshot(time.Now())
	if s.Issuances[0].Reason != "refused" || s.Issuances[0].User != bob || len(s.Issuances) != 6 {
		t.Errorf("got %+v, want 6 issuances, of which the newest renews bob's refused token", s.Issuances)
	}
}

// Six revocations in a row exceed the renewal budget.
func TestPage_PacesRevocations(t *testing.T) {
	f := newPageFixture(t)
	for range 6 {
		f.act(t, "revoke-alice")
		if status := f.read(t, alice); status != http.StatusOK {
			t.Fatalf("got status %d, want 200", status)
		}
	}
}

func TestPage_TogglesFaults(t *testing.T) {
	f := newPageFixture(t)
	for _, test := range []struct{ action, want string }{
		{"slow", stateSlow},
		{"fail", stateFailing},
		{"fail", stateHealthy},
		{"slow", stateSlow},
		{"slow", stateHealthy},
		{"fail", stateFailing},
	} {
		f.act(t, test.action)
		if got := f.page.snapshot(time.Now()).Passport; got != test.want {
			t.Errorf("after %s: %s, want %s", test.action, got, test.want)
		}
	}
	if status := f.read(t, alice); status < http.StatusInternalServerError {
		t.Errorf("status %d while the token endpoint fails", status)
	}
	s := f.page.snapshot(time.Now())
	if s.Issuances[0].Error != "unavailable" || s.Total.Failed != 1 || s.Traces[0].Outcome != outcomeFailed {
		t.Errorf("got %+v, %+v, %+v, want an unavailable endpoint, 1 failure and a failed trace", s.Issuances, s.Total, s.Traces)
	}
}

func TestPage_FollowsRotatedSecret(t *testing.T) {
	f := newPageFixture(t)
	f.act(t, "rotate")
	if status := f.read(t, alice); status != http.StatusOK {
		t.Errorf("got status %d, want 200", status)
	}
	if s := f.page.snapshot(time.Now()); s.Rotations != 1 || f.fake.Counts().Rejected != 0 {
		t.Errorf("got %+v, and %d rejected", s, f.fake.Counts().Rejected)
	}
}

// The page's own traffic runs while a page is open. It ends with the program.
func TestPage_SendsTrafficWhileWatched(t *testing.T) {
	f := newPageFixture(t)
	stop := f.page.startTraffic(t.Context())
	f.events(t, func(s snapshot) bool {
		return s.Accounts[0].Serial != 0 && s.Accounts[1].Serial != 0 && s.Total.Served > 3
	})
	stop()
	before := f.fake.Counts().ResourceRequests
	if before == 0 || f.page.snapshot(time.Now()).Total.Failed != 0 {
		t.Errorf("got %d requests and %+v, want some requests and no failure", before, f.page.snapshot(time.Now()).Total)
	}
}
