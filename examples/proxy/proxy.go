// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// newProxy returns the proxy. A logged-in user reaches the platform with the
// user's own account. The page shows events; it may be nil.
func newProxy(log *slog.Logger, pismo *platform.Platform, login *login, events events, page *page) (http.Handler, error) {
	events = page.join(events)
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer, Hooks: events.source})
	if err != nil {
		return nil, err
	}
	authenticated, err := transport.New(transport.Config{
		Base:   page.base(),
		Source: source,
		Hosts:  []string{pismo.URL.Host},
		Hooks:  events.transport,
	})
	if err != nil {
		return nil, err
	}
	account, err := middleware.FromJWT(login.verification())
	if err != nil {
		return nil, err
	}
	proxy, err := middleware.NewProxy(middleware.ProxyConfig{
		Target:    pismo.URL,
		Transport: authenticated,
		Account:   account,
		Logger:    log,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", page.watch(proxy))
	page.routes(mux)
	mux.Handle("/login/{user}", onlyPOST(sameOrigin(login)))
	if pismo.FakeServer != nil {
		mux.Handle("/fake/revoke", onlyPOST(sameOrigin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			pismo.FakeServer.RevokeAll()
			_, _ = fmt.Fprintln(w, "every token is revoked")
		}))))
	}
	return onlyLoopback(mux), nil
}

// onlyLoopback refuses other names in Host. A page of another site could let
// its name resolve to this machine (DNS rebinding). That page would share an
// origin with the proxy, log in, and read the answers.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "the proxy is for this machine only; use the address that the program printed", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses requests that a page of another site makes the browser
// send.
func sameOrigin(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(next)
}

// onlyPOST answers requests with another method itself. If the pattern of the
// mux contained POST, the proxy would answer these requests and demand a token.
func onlyPOST(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "use POST, as in: curl -X POST http://"+r.Host+r.URL.EscapedPath(), http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}
