// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// Caddy keeps the upstream of a proxied request in its context. It dials that
// upstream for every request with the context. A token request must not have
// the context.
func TestUpstream_GetsNoTokenRequest(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	var checks, tokenRequests atomic.Int64
	var refused atomic.Bool
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost || strings.Contains(r.URL.Path, "passport"):
			tokenRequests.Add(1)
		case r.URL.Path == "/health":
			checks.Add(1)
		case refused.CompareAndSwap(false, true): // So a token is renewed during a request.
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(upstream.Close)
	address := freeport.Address(t)
	host := strings.TrimPrefix(upstream.URL, "http://")
	start(t, serverConfig{global: p.client("hosts 127.0.0.1"), sites: site(address, pismoProxy(host, "health_uri /health", "health_interval 50ms", "health_account organization")), env: p.env()})
	to := newClient(t, address, 1)
	for user, account := range accounts {
		check(t, "status", to.get(t, "/v1/accounts/"+account, "X-User", user).status, http.StatusOK)
	}
	await(t, "the upstream's health is checked", func() bool { return checks.Load() > 1 })
	check(t, "token requests at the upstream", tokenRequests.Load(), 0)
	check(t, "token requests at the platform", p.Counts().TokenRequests, len(accounts)+1+1) // The additional requests are for a renewal and for the health check.
	check(t, "other requests at the token endpoint", p.Counts().ResourceRequests, 0)
}
