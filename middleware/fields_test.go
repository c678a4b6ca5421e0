// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A proxy behind Wrap removes the fields that Connection names (RFC 9110,
// section 7.6.1). A client must not use this to remove the program's token.
func TestWrap_ConnectionDoesNotTakeTheToken(t *testing.T) {
	seen := make(chan http.Header, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	s := serve(t, p.wrap(t, (&httputil.ReverseProxy{
		Transport: p.base,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(p.target) },
	}).ServeHTTP))
	for _, fields := range []string{
		"Connection: Authorization",
		"Connection: authorization",
		"Connection: AUTHORIZATION",
		"connection: close, authorization",
		"Connection: X-Hop,authorization,X-Other",
		"Connection:\tAuthorization\t,",
		"Connection: ,,Authorization,,",
		"Connection: keep-alive\r\nConnection: Authorization",
		"Connection: Authorization\r\nConnection: Authorization\r\nConnection: X-Hop",
		"Connection: \u00a0Authorization",
		"Connection: Authorization;q=1, Authorization",
		"Connection: proxy-authorization, authorization",
		"Connection: Authorization\r\nAuthorization: Bearer theirs",
		"Connection: Connection, Authorization",
		"Proxy-Connection: Authorization",
		"Keep-Alive: Authorization",
		"TE: Authorization",
	} {
		_, in := s.dial(t, "GET / HTTP/1.1\r\nHost: proxy\r\nX-Hop: 1\r\n"+fields+"\r\n\r\n")
		check(t, fields, readReply(t, in).status, http.StatusOK)
		h := await(t, seen)
		check(t, fields+": Authorization", len(h["Authorization"]), 1)
		check(t, fields+": theirs", strings.Contains(fmt.Sprint(h), "theirs"), false)
		if strings.Contains(fields, "X-Hop") {
			check(t, fields+": a field that Connection names", h.Get("X-Hop"), "")
		} else {
			check(t, fields+": a field that Connection does not name", h.Get("X-Hop"), "1")
		}
	}
	for reason, n := range p.Counts().Refused {
		t.Errorf("%d requests were refused: %s", n, reason)
	}
}

func TestAdmit_LeavesTheClientsConnectionAlone(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	m := newMiddleware(t, middleware.Config{Source: p.source, Account: middleware.FixedAccount(acct(t, alice))})
	for value, want := range map[string]string{
		"Upgrade":                 "Upgrade",
		"close , keep-alive":      "close , keep-alive",
		"Upgrade , Authorization": "Upgrade",
		"authorization":           "",
	} {
		r := inbound(t, "Connection", value)
		uncanonical := strings.ToLower("Connection") // A program can store a non-canonical name.
		r.Header[uncanonical] = []string{"Authorization"}
		out, _, err := m.Admit(r)
		check(t, "error", err, nil)
		check(t, value, strings.Join(out.Header["Connection"], " + "), want)
		check(t, value, len(out.Header[uncanonical]), 0)
		check(t, "the client's", r.Header.Get("Connection"), value)
	}
}

// RFC 9110, section 6.5.1, does not allow Authorization in a trailer. A server
// may read it there.
func TestAdmit_DropsAuthorizationTrailer(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	m := newMiddleware(t, middleware.Config{Source: p.source, Account: middleware.FixedAccount(acct(t, alice))})
	r := inbound(t)
	r.Trailer = http.Header{"Authorization": {"Bearer theirs"}, "authorization": nil, "X-Digest": nil}
	out, _, err := m.Admit(r)
	check(t, "error", err, nil)
	check(t, "trailers", strings.Join(slices.Sorted(maps.Keys(out.Trailer)), " "), "X-Digest")
	check(t, "the client's", len(r.Trailer), 3)

	// The trailer of a request is complete after its body is read.
	s := serve(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer.Get("X-Digest"))
	})))
	_, in := s.dial(t, "POST / HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\nTrailer: X-Digest\r\n\r\n1\r\nx\r\n0\r\nX-Digest: abc\r\n\r\n")
	check(t, "trailer", readReply(t, in).body, "abc")
}

// A program behind the platform's gateway may treat underscores and hyphens
// alike. It could take such a field for a field that the proxy sets or removes.
func TestNewProxy_DropsTheTwinsOfFields(t *testing.T) {
	seen := make(chan *http.Request, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r
	})
	s := serve(t, p.proxy(t))
	forged := []string{
		"X_Forwarded_For: 6.6.6.6",
		"x_forwarded_for: 6.6.6.6",
		"X-Forwarded_For: 6.6.6.6",
		"X_FORWARDED-HOST: evil.example",
		"X_Forwarded_Proto: https",
		"X-Forwarded-Port: 666",
		"X-Forwarded-Prefix: /admin",
		"X_Forwarded_Client_Cert: By=evil",
		"X-Forwarded: for=6.6.6.6",
		"forwarded: for=6.6.6.6",
		"X-Original-URL: /admin",
		"X_Original_Url: /admin",
		"x-rewrite-url: /admin",
		"X_Rewrite_URL: /admin",
		"X-HTTP-Method-Override: evil",
		"x_http_method_override: evil",
		"X-HTTP-Method: evil",
		"X-Method-Override: evil",
		"Proxy_Authorization: Basic evil",
		"Proxy-Authorization: Basic evil",
		"Proxy_Connection: evil",
		"Transfer_Encoding: evil",
		"Content_Length: 666",
		"Keep_Alive: evil",
	}
	kept := []string{
		"X-Account-Id: kept", "X_Account_Id: kept", "Idempotency-Key: kept", "X-Idempotency-Key: kept",
		"X_Custom: kept", "X-Forward: kept", "X-Method: kept", "X-Real-Ip: kept", "Te: trailers",
	}
	check(t, "status", send(t, s, forged, kept).status, http.StatusOK)
	r := await(t, seen)
	for name, values := range r.Header {
		text := fmt.Sprint(name, values)
		for _, claim := range []string{"6.6.6.6", "evil", "666", "admin"} {
			if strings.Contains(text, claim) {
				t.Errorf("the platform got %s", text)
			}
		}
	}
	check(t, "X-Forwarded-For", fmt.Sprint(r.Header["X-Forwarded-For"]), "[127.0.0.1]")
	for _, field := range kept {
		name, value, _ := strings.Cut(field, ": ")
		check(t, name, strings.Join(r.Header[http.CanonicalHeaderKey(name)], ""), value)
	}
}

func send(t *testing.T, s *service, fields ...[]string) reply {
	t.Helper()
	head := "POST / HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1\r\n" + strings.Join(slices.Concat(fields...), "\r\n")
	_, in := s.dial(t, head+"\r\n\r\nx")
	return readReply(t, in)
}

// The trailer must not have forwarding fields.
func TestNewProxy_DropsClaimsFromTheTrailer(t *testing.T) {
	seen := make(chan http.Header, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	})
	s := serve(t, p.proxy(t))
	const names = "Authorization, Proxy-Authorization, X-Forwarded-For, X_Forwarded_For, Forwarded, X-Digest"
	_, in := s.dial(t, "POST / HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\nTrailer: "+names+"\r\n\r\n1\r\nx\r\n0\r\n"+
		strings.ReplaceAll(names, ", ", ": theirs\r\n")+": theirs\r\n\r\n")
	check(t, "status", readReply(t, in).status, http.StatusOK)
	check(t, "trailers", fmt.Sprint(await(t, seen)), "map[X-Digest:[theirs]]")
}

// A ReverseProxy copies the names of trailers, and does not get their values.
func TestNewProxy_PassesRequestTrailers(t *testing.T) {
	seen := make(chan http.Header, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	})
	s := serve(t, p.proxy(t))
	for _, body := range []string{"1\r\nx\r\n", ""} {
		_, in := s.dial(t, "POST / HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\nTrailer: X-Digest, X-Absent\r\n\r\n"+
			body+"0\r\nX-Digest: abc\r\nX-Surprise: def\r\nAuthorization: Bearer theirs\r\n\r\n")
		check(t, "status", readReply(t, in).status, http.StatusOK)
		check(t, "trailers", fmt.Sprint(await(t, seen)), "map[X-Absent:[] X-Digest:[abc]]")
	}
}

// Rewrite gets the client's own fields, and may pass them on.
func TestRewrite_SeesClientFields(t *testing.T) {
	seen := make(chan string, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("X-Forwarded-For") })
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) {
		c.Rewrite = func(r *httputil.ProxyRequest) {
			r.Out.Header.Set("X-Forwarded-For", r.In.Header.Get("X-Forwarded-For")+", "+r.Out.Header.Get("X-Forwarded-For"))
		}
	}))
	check(t, "status", s.get(t, "/", "X-Forwarded-For", "10.0.0.1").status, http.StatusOK)
	check(t, "X-Forwarded-For", await(t, seen), "10.0.0.1, 127.0.0.1")
}

// A client with HTTP/2 over an upgraded connection chooses the target of every
// further request (RFC 9113, section 3.1, has withdrawn h2c upgrades).
func TestNewProxy_DropsTunnelUpgrades(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s|%s|%s", r.Header.Get("Upgrade"), r.Header.Get("Connection"), r.Header.Get("Http2-Settings"))
	})
	s := serve(t, p.proxy(t))
	for offered, want := range map[string]string{
		"h2c":                             "||",
		"H2C":                             "||",
		"h2":                              "||",
		"HTTP/2.0":                        "||",
		"http/1.1":                        "||",
		"TLS/1.3, HTTP/1.1":               "||",
		"h2c, websocket":                  "websocket|Upgrade|",
		"websocket,h2c ,chat/1":           "websocket, chat/1|Upgrade|",
		"websocket":                       "websocket|Upgrade|",
		"websocket\r\nUpgrade: h2c":       "websocket|Upgrade|",
		"h2c\r\nUpgrade: h2c":             "||",
		"caf\u00e9":                       "||",
		"h2c\r\nProxy-Connection:Upgrade": "||",
	} {
		_, in := s.dial(t, "GET / HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: "+offered+"\r\n\r\n")
		r := readReply(t, bufio.NewReader(in))
		check(t, offered, r.status, http.StatusOK)
		check(t, offered, r.body, want)
	}
}
