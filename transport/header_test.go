// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// The transport must be able to read the response. A CDN answers in br to a
// browser behind a proxy, and a 401 in br would get no verdict.
func TestAcceptEncoding_ReducedToReadable(t *testing.T) {
	for _, test := range []struct{ values, want []string }{
		{nil, nil},
		{[]string{"gzip"}, []string{"gzip"}},
		{[]string{"gzip, deflate"}, []string{"gzip, deflate"}},
		{[]string{"GZip;q=1.0, identity;q=0.5"}, []string{"GZip;q=1.0, identity;q=0.5"}},
		{[]string{"identity"}, []string{"identity"}},
		{[]string{""}, []string{""}},
		{[]string{"gzip", "deflate"}, []string{"gzip", "deflate"}},
		{[]string{"gzip, deflate, br, zstd"}, []string{"gzip, deflate"}},
		{[]string{"br;q=1.0, gzip;q=0.8, *;q=0.1"}, []string{"gzip;q=0.8, deflate;q=0.1"}},
		{[]string{"br", "gzip"}, []string{"gzip"}},
		{[]string{"zstd , x-gzip ; q=0.5"}, []string{"x-gzip ; q=0.5"}},
		{[]string{"br"}, []string{"identity"}},
		{[]string{"BR, zstd, dcb"}, []string{"identity"}},
		{[]string{"*"}, []string{"gzip, deflate"}},
		{[]string{"*;q=0.3"}, []string{"gzip;q=0.3, deflate;q=0.3"}},
		{[]string{"gzip;q=0, *"}, []string{"gzip;q=0, deflate"}},
		{[]string{"gzip, *;q=0"}, []string{"gzip, *;q=0"}},
		{[]string{"identity;q=0, *"}, []string{"identity;q=0, gzip, deflate"}},
		{[]string{"br, *;q=0"}, []string{"identity"}},
		{[]string{"br, gzip;q=0"}, []string{"identity"}},
		{[]string{"br, identity;q=0"}, []string{"identity"}},
		{[]string{"br, gzip;q=nonsense"}, []string{"gzip;q=nonsense"}},
		{[]string{",br,,gzip,"}, []string{"gzip"}},
	} {
		for _, name := range []string{"Accept-Encoding", "accept-encoding"} {
			w := &fakeBase{}
			req := newRequest(t, http.MethodGet, target, nil)
			if test.values != nil {
				req.Header[name] = slices.Clone(test.values)
			}
			send(t, newTransport(t, &fakeIssuer{}, w), req)
			if got := w.requests()[0].header[name]; !slices.Equal(got, test.want) {
				t.Errorf("%s: %q was sent as %q, want %q", name, test.values, got, test.want)
			}
			if !slices.Equal(req.Header[name], test.values) {
				t.Errorf("the caller's %q became %q", test.values, req.Header[name])
			}
		}
	}
}

// Generated clients send an Authorization field where an OpenAPI file declares
// it. The field is empty, or has only a scheme.
func TestAuthorization_IgnoresEmptyCredentials(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "AUTHORIZATION"} {
		for _, values := range [][]string{nil, {}, {""}, {" "}, {"Bearer"}, {"Bearer "}, {"bearer\t"}, {" Basic "}, {"", "Bearer "}} {
			m, w := &fakeIssuer{}, &fakeBase{}
			req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
			req.Header[name] = values
			wantStatus(t, send(t, newTransport(t, m, w), req), http.StatusOK)
			header := w.requests()[0].header
			if _, ok := m.account(header); !ok || len(header) != 1 {
				t.Errorf("%s %q: it was sent with %q", name, values, header)
			}
		}
	}
}

// Any other value may be real credentials.
func TestAuthorization_WithCredentialsIsRefused(t *testing.T) {
	for _, values := range [][]string{{"Bearer x"}, {"Basic eA=="}, {"eyJhbGciOiJIUzUxMiJ9.e30.x"}, {"Bearer", "x"}, {"Bearer Basic"}, {"Bearer,"}, {"ApiKey"}} {
		w := &fakeBase{}
		req := newRequest(t, http.MethodPost, target, nil)
		req.Header["Authorization"] = values
		_, err := newTransport(t, &fakeIssuer{}, w).RoundTrip(req)
		wantUnsent(t, err, transport.ErrAuthorizationPresent)
		wantSent(t, w, 0)
	}
}

// A program may set the token of the Source itself. The account of the request
// still counts.
func TestAuthorization_OwnTokenIsReplaced(t *testing.T) {
	m, w := &fakeIssuer{}, &fakeBase{}
	rt := newTransport(t, m, w, noDefaultAccount)
	for _, id := range []string{"1", "2"} {
		token, err := rt.Source().Token(t.Context(), acct(t, id))
		if err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"Bearer ", "", "bearer ", " Bearer  "} {
			req := newRequest(t, http.MethodGet, target, nil)
			req.Header.Set("Authorization", scheme+token.Reveal())
			wantStatus(t, send(t, rt, req.WithContext(contextFor(t, req, id))), http.StatusOK)
			_, err = trySend(rt, req.WithContext(contextFor(t, req, "3")))
			wantUnsent(t, err, transport.ErrAuthorizationPresent)
		}
	}
	wantSent(t, w, 8)
	wantIssued(t, m, 2) // Account 3 needs no token.
}

// After the renewal, the token that the program set is no longer current. It
// still does not count as other credentials.
func TestAuthorization_OwnTokenIsRenewed(t *testing.T) {
	m := &fakeIssuer{}
	server, base := newTLSServer(t, false, m.guard(func(http.ResponseWriter, *http.Request) {}))
	rt := newTransport(t, m, base, listing(server))
	account, _ := rt.Account()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		req := newRequest(t, method, server.URL, strings.NewReader("payment"))
		token, err := rt.Source().Token(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		token.SetAuthHeader(req.Header)
		m.revoke()
		wantStatus(t, send(t, rt, req), http.StatusOK)
	}
}

// A caller that traces its requests logs the fields that are written. The trace
// must not contain the token.
func TestClientTrace_IsNotToldOfToken(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			m := &fakeIssuer{}
			server, base := newTLSServer(t, http2, m.guard(func(http.ResponseWriter, *http.Request) {}))
			rt := newTransport(t, m, base, listing(server))
			get(t, rt, server.URL)
			m.revoke()
			var fields []string
			conns, written := 0, 0
			inner := &httptrace.ClientTrace{
				WroteHeaderField: func(name string, values []string) { fields = append(fields, append([]string{name}, values...)...) },
				GotConn:          func(httptrace.GotConnInfo) { conns++ },
			}
			outer := &httptrace.ClientTrace{WroteHeaders: func() { written++ }}
			ctx := httptrace.WithClientTrace(httptrace.WithClientTrace(t.Context(), inner), outer)
			req := newRequest(t, method, server.URL, nil).WithContext(ctx)
			req.Header.Set("X-Field", "seen")
			wantStatus(t, send(t, rt, req), http.StatusOK)
			told := strings.ToLower(strings.Join(fields, "\n"))
			if strings.Contains(told, "authorization") || strings.Contains(told, "sentinel-token") {
				t.Errorf("HTTP/2 %t, %s: the trace got %q", http2, method, fields)
			}
			if !strings.Contains(told, "x-field") || conns != 2 || written != 2 {
				t.Errorf("HTTP/2 %t, %s: for two attempts the trace got %d connections, %d heads and %q", http2, method, conns, written, fields)
			}
		}
	}
}

// Telemetry below the transport sees the caller's context.
func TestClientTrace_LeavesContextValues(t *testing.T) {
	type key struct{}
	w := &fakeBase{}
	ctx := context.WithValue(t.Context(), key{}, "kept")
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(string, []string) {}})
	ctx = tokensource.ContextWithAccount(ctx, tokensource.Organization())
	send(t, newTransport(t, &fakeIssuer{}, w), newRequest(t, http.MethodPost, target, nil).WithContext(ctx))
	if got := w.requests()[0].ctx.Value(key{}); got != "kept" {
		t.Errorf("the base's context has %v", got)
	}
}
