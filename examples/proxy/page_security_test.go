// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The data that a browser receives must not contain a secret or a token.
func TestPage_SendsNoSecret(t *testing.T) {
	f := newPageFixture(t)
	first := f.fake.ServerSecret()
	f.act(t, "revoke-thousand")
	f.act(t, "rotate")
	f.act(t, "fail")
	f.read(t, bob)
	_, sent := f.events(t, func(s snapshot) bool { return s.Rotations == 1 && s.Total.Failed == 1 })
	for _, path := range []string{"/", "/page/app.js", "/page/style.css", "/page/icon.svg", "/page/counts"} {
		resp, body := f.do(t, http.MethodGet, path, nil)
		sent += body
		for _, values := range resp.Header {
			sent += strings.Join(values, "\n")
		}
	}
	for name, secret := range map[string]string{
		"the secret":       f.fake.ServerSecret(),
		"the old secret":   first,
		"the key":          f.fake.ServerKey(),
		"the login's key":  string(f.page.login.key),
		"a token":          "eyJ",
		"an Authorization": "Bearer",
	} {
		if quoted, _ := json.Marshal(secret); strings.Contains(sent, secret) || strings.Contains(sent, strings.Trim(string(quoted), `"`)) {
			t.Errorf("the page sent %s", name)
		}
	}
}

func TestPage_SetsContentSecurityPolicy(t *testing.T) {
	f := newPageFixture(t)
	for path, contentType := range map[string]string{
		"/":               "text/html; charset=utf-8",
		"/page/app.js":    "text/javascript; charset=utf-8",
		"/page/style.css": "text/css; charset=utf-8",
		"/page/icon.svg":  "image/svg+xml",
		"/page/counts":    "application/json",
		"/page/none":      "text/plain; charset=utf-8",
	} {
		resp, body := f.do(t, http.MethodGet, path, nil)
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got the header %v, want a strict policy and nosniff", path, resp.Header)
		}
		if got := resp.Header.Get("Content-Type"); got != contentType {
			t.Errorf("%s: Content-Type %q, want %q", path, got, contentType)
		}
		for _, inline := range []string{"style=", "onclick", "<script>", "<style>"} {
			if path == "/" && strings.Contains(body, inline) {
				t.Errorf("the page has %s, which its policy forbids", inline)
			}
		}
	}
}

// A page of another site in the same browser must not press the buttons.
func TestPage_RefusesOtherOrigins(t *testing.T) {
	f := newPageFixture(t)
	for name, test := range map[string]struct {
		method string
		change func(*http.Request)
		want   int
	}{
		"the page itself":   {http.MethodPost, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, http.StatusNoContent},
		"curl":              {http.MethodPost, nil, http.StatusNoContent},
		"another site":      {http.MethodPost, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"another port":      {http.MethodPost, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, http.StatusForbidden},
		"an older browser":  {http.MethodPost, func(r *http.Request) { r.Header.Set("Origin", "https://example.com") }, http.StatusForbidden},
		"another host name": {http.MethodPost, func(r *http.Request) { r.Host = "example.com" }, http.StatusMisdirectedRequest},
		"a link":            {http.MethodGet, nil, http.StatusMethodNotAllowed},
	} {
		if resp, body := f.do(t, test.method, "/page/actions/rotate", test.change); resp.StatusCode != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, resp.StatusCode, test.want, body)
		}
	}
	if got := f.page.snapshot(time.Now()).Rotations; got != 2 {
		t.Errorf("the secret was rotated %d times", got)
	}
	for _, host := range []string{"localhost", "localhost:1", "127.0.0.2", "[::1]", "[::1]:8480"} {
		if resp, _ := f.do(t, http.MethodGet, "/", func(r *http.Request) { r.Host = host }); resp.StatusCode != http.StatusOK {
			t.Errorf("Host %q: got status %d, want 200", host, resp.StatusCode)
		}
	}
	for _, host := range []string{"example.com", "10.0.0.1", "localhost.example.com:80"} {
		if resp, _ := f.do(t, http.MethodGet, "/page/events", func(r *http.Request) { r.Host = host }); resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("Host %q: got status %d, want 421", host, resp.StatusCode)
		}
	}
	if resp, _ := f.do(t, http.MethodPost, "/page/actions/none", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown action: got status %d, want 404", resp.StatusCode)
	}
}

// A host name that resolves to this machine shares an origin with the proxy. A
// page at that name must get no login and must reach nothing behind the proxy.
func TestProxy_RefusesOtherHosts(t *testing.T) {
	f := newPageFixture(t)
	for _, test := range []struct{ method, path string }{
		{http.MethodPost, "/login/alice"},
		{http.MethodPost, "/fake/revoke"},
		{http.MethodGet, "/v1/accounts/102681871"},
		{http.MethodGet, "/page/app.js"},
	} {
		resp, body := f.do(t, test.method, test.path, func(r *http.Request) { r.Host = "rebound.example.com:8480" })
		if resp.StatusCode != http.StatusMisdirectedRequest || strings.Contains(body, "eyJ") {
			t.Errorf("%s: status %d, want 421", test.path, resp.StatusCode)
		}
		if resp, _ := f.do(t, test.method, test.path, nil); resp.StatusCode == http.StatusMisdirectedRequest {
			t.Errorf("%s: the proxy's own address is refused", test.path)
		}
	}
}

func TestProxy_ChangesNothingForOtherSites(t *testing.T) {
	f := newPageFixture(t)
	for _, path := range []string{"/login/alice", "/fake/revoke"} {
		if resp, _ := f.do(t, http.MethodPost, path, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", path, resp.StatusCode)
		}
	}
}

func TestPage_BoundsItsWatchers(t *testing.T) {
	f := newPageFixture(t)
	f.page.watchers.Store(maxWatchers)
	if resp, _ := f.do(t, http.MethodGet, "/page/events", nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one watcher too many: got status %d, want 503", resp.StatusCode)
	}
	if got := f.page.watchers.Load(); got != maxWatchers {
		t.Errorf("%d watchers are left", got)
	}
}

func TestPage_IsForTheFakeServerOnly(t *testing.T) {
	var none *page
	if newPage(nil, newLogin(nil)) != none {
		t.Fatal("a page exists without a fake server")
	}
	mux := http.NewServeMux()
	none.routes(mux)
	if _, pattern := mux.Handler(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)); pattern != "" {
		t.Errorf("the page is at %q, want no page", pattern)
	}
	none.startTraffic(t.Context())()
}
