// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// dotSegmentTargets are request targets that a server behind the proxy may read
// as another path than the proxy does.
var dotSegmentTargets = []string{
	// Targets without a path (RFC 3986, section 3; RFC 9112, section 3.2).
	"x:https://evil.example/admin",
	"x:evil",
	"http:evil.example",
	"https:evil.example/v1/statements/",
	"mailto:admin@evil.example",
	// Dot segments, plain and encoded (RFC 3986, sections 5.2.4 and 6.2.2).
	"/v1/statements/../payments",
	"/v1/statements/..",
	"/v1/statements/.",
	"/v1/statements/./x",
	"/v1/statements/%2e%2e/payments",
	"/v1/statements/%2E%2e/payments",
	"/v1/statements/.%2e/payments",
	"/v1/statements/%2e./payments",
	"/v1/statements/%2e/x",
	"/v1/statements/..%2fpayments",
	"/v1/statements/..%2Fpayments",
	"/v1/statements/x%2f..%2f..%2fpayments",
	"/v1/statements/%2e%2e%2fpayments",
	"/v1/statements//../../payments",
	"http://proxy/v1/statements/%2e%2e/payments",
	// Backslashes, which some servers treat as slashes.
	`/v1/statements/..\payments`,
	"/v1/statements/..%5cpayments",
	"/v1/statements/x%5C..%5C..%5Cpayments",
	// Parameters of a segment, and characters that end a decoded path.
	"/v1/statements/..;/payments",
	"/v1/statements/..;a=b/payments",
	"/v1/statements/%2e%2e%3b/payments",
	"/v1/statements/.;x/y",
	"/v1/statements/..%3fx",
	"/v1/statements/..%23x",
	// Spaces that Windows drops, and characters that are compatible with a dot, a
	// slash or a backslash.
	"/v1/statements/..%20/payments",
	"/v1/statements/%20../payments",
	"/v1/statements/..%C2%A0/payments",
	"/v1/statements/%EF%BC%8E%EF%BC%8E/payments",
	"/v1/statements/%E2%80%A5/payments",
	"/v1/statements/\u2024\u2024/payments",
	"/v1/statements/..%EF%BC%8Fpayments",
	"/v1/statements/..%EF%BC%BCpayments",
	"/v1/statements/..%25EF%25BC%258Fpayments",
	"/v1/statements/.\uff0e\uff1bx/payments",
	// Targets that are encoded more than once.
	"/v1/statements/%252e%252e/payments",
	"/v1/statements/..%252fpayments",
	"/v1/statements/%25252e%25252e%25252fpayments",
	"/v1/statements/%25%32%65%25%32%65/payments",
	"/v1/statements/..%255cpayments",
	"/v1/statements/%25zz/%252e%252e/payments",
	"/v1/statements/%" + strings.Repeat("25", 1000) + "2e",
	// Control characters, and overlong encodings of a dot and a slash.
	"/v1/statements/..%00/payments",
	"/v1/statements/x%0d%0aHost:%20evil.example",
	"/v1/statements/x%0a",
	"/v1/statements/x%09",
	"/v1/statements/x%7f",
	"/v1/statements/%c0%ae%c0%ae/payments",
	"/v1/statements/..%c0%afpayments",
	"/v1/statements/..%e0%80%afpayments",
	"/v1/statements/..%c1%9cpayments",
	"/v1/statements/%ff",
}

// cleanTargets are request targets of honest clients.
var cleanTargets = []string{
	"/v1/statements/",
	"/v1/statements/4711",
	"/v1/statements/a%2Fb",
	"/v1/statements/a%2fb%2Fc/",
	"/v1/statements/%2F",
	"/v1/statements/a..b",
	"/v1/statements/...",
	"/v1/statements/..a/b..",
	"/v1/statements/.well-known/x.json",
	"/v1/statements/1.0",
	"/v1/statements/x;v=1.2/y",
	"/v1/statements/100%25",
	"/v1/statements/50%25ab",
	"/v1/statements/a%252Fb",
	"/v1/statements/a%20b+c",
	"/v1/statements/a:b@c,d=e&f$g!h'i(j)k*l~m",
	"/v1/statements/%C3%A9%E2%82%AC%F0%9F%92%B6",
	"/v1/statements/é",
	"/v1/statements/%EF%BC%8Ea\uff0fb%E2%80%A6",
	"/v1/statements/a.%20b/%20",
	"/v1/statements/a%3Fb%23c",
	`/v1/statements/a%5Cb`,
	"/v1/statements/2026-11-24T12:00:00.000Z",
	"/v1/statements/?path=../../x&q=%2e%2e%2f&c=%00",
	"http://proxy/v1/statements/4711",
	"//v1/statements/",
	"/v1//statements/x//y",
}

// The test sends the target unchanged. A net/http client would change it.
func (s *service) sendTarget(t *testing.T, method, target string) reply {
	t.Helper()
	_, in := s.dial(t, method+" "+target+" HTTP/1.1\r\nHost: proxy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	return readReply(t, in)
}

// handlersByMount are the ways to mount a proxy. Each handler is below a path.
var handlersByMount = map[string]func(t *testing.T, p *fakePlatform) http.Handler{
	"by a proxy": func(t *testing.T, p *fakePlatform) http.Handler {
		return p.proxy(t, func(c *middleware.ProxyConfig) { c.Target = p.target.JoinPath("/only/below/here") })
	},
	"by a proxy behind a mux": func(t *testing.T, p *fakePlatform) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/only/below/here/", http.StripPrefix("/only/below/here/", p.proxy(t, func(c *middleware.ProxyConfig) {
			c.Target = p.target.JoinPath("/only/below/here")
		})))
		return withPathPrefix("/only/below/here", mux)
	},
	"by a plain ReverseProxy": func(t *testing.T, p *fakePlatform) http.Handler {
		target := *p.target
		target.Path = "/only/below/here"
		return p.wrap(t, (&httputil.ReverseProxy{
			Transport: p.base,
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&target) },
		}).ServeHTTP)
	},
}

// withPathPrefix adds a prefix to the path of each request. The same requests
// can then be sent to a mux.
func withPathPrefix(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		if u.Opaque == "" {
			u.Path, u.RawPath = prefix+u.Path, prefix+r.URL.EscapedPath()
		}
		out := r.Clone(r.Context())
		out.URL = &u
		next.ServeHTTP(w, out)
	})
}

// A client must not choose a path outside the proxy's path.
func TestTarget_DotSegmentsAreRefused(t *testing.T) {
	for name, serving := range handlersByMount {
		t.Run(name, func(t *testing.T) {
			p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%q reached the platform", r.RequestURI) })
			s := serve(t, serving(t, p))
			for _, target := range dotSegmentTargets {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					r := s.sendTarget(t, method, target)
					if name == "by a proxy behind a mux" && (r.status/100 == 3 || r.status == http.StatusNotFound) {
						continue // The mux has answered: it cleans paths, or finds no pattern.
					}
					if r.status != http.StatusBadRequest {
						t.Errorf("%s %s: got status %d, want 400", method, target, r.status)
						continue
					}
					if strings.HasPrefix(r.body, "{") { // Without this prefix, the answer comes from net/http.
						wantProblem(t, r, http.StatusBadRequest, "invalid-target")
					}
				}
			}
			check(t, "token requests", p.Counts().TokenRequests, 0)
		})
	}
}

// The check must not refuse legitimate requests.
func TestTarget_CleanPathPassesUnchanged(t *testing.T) {
	seen := make(chan string, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI })
	proxied := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Target = p.target.JoinPath("/only/below/here") }))
	for _, target := range cleanTargets {
		r := proxied.sendTarget(t, http.MethodGet, target)
		if r.status != http.StatusOK {
			t.Errorf("%s: got status %d: %s, want 200", target, r.status, r.body)
			continue
		}
		u, err := url.Parse("http://proxy/only/below/here" + strings.TrimPrefix(target, "http://proxy"))
		if err != nil {
			t.Fatal(err)
		}
		got, query, _ := strings.Cut(await(t, seen), "?")
		check(t, target+": path", got, u.EscapedPath())
		if _, want, ok := strings.Cut(target, "?"); ok && query != want {
			t.Errorf("query: got %q, want %q", query, want)
		}
	}
}

// The asterisk form of OPTIONS is about a server, not about a path. By default
// net/http answers it.
func TestTarget_AsteriskIsRefused(t *testing.T) {
	for name, serving := range handlersByMount {
		p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%q reached the platform", r.RequestURI) })
		s := serve(t, serving(t, p), func(server *http.Server) { server.DisableGeneralOptionsHandler = true })
		r := s.sendTarget(t, http.MethodOptions, "*")
		if name != "by a proxy behind a mux" || r.status != http.StatusNotFound {
			check(t, name, r.status, http.StatusBadRequest)
		}
	}
}

// StripPrefix can remove the leading slash of a path, and can make a dot
// segment.
func TestTarget_IsCheckedInForwardedForm(t *testing.T) {
	seen := make(chan string, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI })
	proxy := p.proxy(t, func(c *middleware.ProxyConfig) { c.Target = p.target.JoinPath("/v1/statements") })
	s := serve(t, http.StripPrefix("/api", proxy))
	wantProblem(t, s.sendTarget(t, http.MethodGet, "/api../payments"), http.StatusBadRequest, "invalid-target")
	wantProblem(t, s.sendTarget(t, http.MethodGet, "/api.%2e/payments"), http.StatusBadRequest, "invalid-target")

	s = serve(t, http.StripPrefix("/api/", proxy))
	check(t, "status", s.sendTarget(t, http.MethodGet, "/api/4711").status, http.StatusOK)
	check(t, "target", await(t, seen), "/v1/statements/4711")
	wantProblem(t, s.sendTarget(t, http.MethodGet, "/api/../x"), http.StatusBadRequest, "invalid-target")
}

// A target in absolute form names a host, a port and a user. The outbound
// request has none of them, and does not have the client's Host. This holds
// with http and with https.
func TestTarget_HostIsConfigured(t *testing.T) {
	for _, secure := range []bool{false, true} {
		p := newPlatform(t, passporttest.Config{TLS: secure, Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, r.Header.Get("X-Forwarded-Host"))
		})})
		var hosts []string
		s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) {
			c.Rewrite = func(r *httputil.ProxyRequest) { hosts = append(hosts, r.Out.URL.String()) }
		}))
		for _, head := range []string{
			"GET /v1/x HTTP/1.1\r\nHost: evil.example",
			"GET http://evil.example/v1/x HTTP/1.1\r\nHost: evil.example",
			"GET https://user:password@evil.example:8443/v1/x HTTP/1.1\r\nHost: evil.example:8443",
			"GET ftp://evil.example/v1/x HTTP/1.1\r\nHost: evil.example",
		} {
			_, in := s.dial(t, head+"\r\nConnection: close\r\n\r\n")
			r := readReply(t, in)
			check(t, head, r.status, http.StatusOK)
			check(t, head, strings.HasPrefix(r.body, p.Host()+" /v1/x evil.example"), true)
		}
		for _, out := range hosts {
			check(t, "URL", out, p.URL()+"/v1/x")
		}
	}
}

// The URL of a request that net/http did not parse may contain anything.
func TestTarget_UnparsedURLIsChecked(t *testing.T) {
	m := newMiddleware(t, middleware.Config{
		Source:  newSource(t, tokensource.Config{Issuer: grantingIssuer("token")}),
		Account: middleware.FixedAccount(acct(t, alice)),
	})
	for _, u := range []*url.URL{
		{Scheme: "https", Host: "sandbox.pismolabs.io", Opaque: "//evil.example/steal"},
		{Opaque: "/v1/x"},
		{Path: "/v1/x/.."},
		{Path: ".."},
		{Path: "/v1/x", RawPath: "/v1/%78", Opaque: "x"},
	} {
		_, _, err := m.Admit(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		check(t, u.String(), err, error(middleware.ErrInvalidTarget))
	}
}
