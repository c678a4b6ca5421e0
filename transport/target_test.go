// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A request line such as "GET x:https://evil.example/admin HTTP/1.1" parses
// into URL.Opaque. net/http takes the Host and the target of the request from
// URL.Opaque, and dials URL.Host.
func TestRoundTrip_RefusesTargetOfAnotherHost(t *testing.T) {
	for _, u := range []*url.URL{
		{Opaque: "//evil.example/steal"},
		{Opaque: "https://evil.example/admin"},
		{Opaque: "evil"},
		{Opaque: "/v1/payments"},
		{Opaque: "//" + host + "/x"},
		{Path: "@evil.example/"},
		{Path: ".evil.example/"},
		{Path: ":81/"},
		{Path: "x"},
		{Path: "*x"},
		{Path: "/x", RawPath: "%2Fx"},
		{Path: "%2Fx"},
	} {
		for _, scheme := range []string{"https", "http"} {
			for _, redirected := range []bool{false, true} {
				m, w := &fakeIssuer{}, &fakeBase{}
				rt := newTransport(t, m, w, func(c *transport.Config) { c.Hosts = []string{host, "localhost"} })
				req := newRequest(t, http.MethodPost, target, nil)
				crafted := *u
				crafted.Scheme, crafted.Host = scheme, map[string]string{"https": host, "http": "localhost"}[scheme]
				req.URL = &crafted
				if redirected {
					req.Response = &http.Response{Request: newRequest(t, http.MethodGet, target, nil)}
				}
				_, err := rt.RoundTrip(req)
				wantUnsent(t, err, transport.ErrRequestTarget)
				if err := rt.Accepts(&crafted); err != error(transport.ErrRequestTarget) {
					t.Errorf("Accepts returns %v, want ErrRequestTarget", err)
				}
				wantSent(t, w, 0)
				wantIssued(t, m, 0)
			}
		}
	}
}

// A redirect to such a target on an unlisted host fails too.
func TestRedirect_RefusesOpaqueTarget(t *testing.T) {
	w := &fakeBase{}
	req := newRequest(t, http.MethodGet, target, nil)
	req.URL = &url.URL{Scheme: "https", Host: "other.example", Opaque: "//" + host + "/x"}
	req.Response = &http.Response{Request: newRequest(t, http.MethodGet, target, nil)}
	if _, err := newTransport(t, &fakeIssuer{}, w).RoundTrip(req); err == nil {
		t.Error("the request was sent")
	}
	wantSent(t, w, 0)
}

// A path is sent unchanged.
func TestRoundTrip_SendsPathAsItIs(t *testing.T) {
	for _, path := range []string{"", "/", "/a%2Fb", "/a/../b", "//x", "/x;y=z", "/%2e%2e/x", "/?q=a%20b"} {
		server := newServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
		want := path
		if path == "" {
			want = "/"
		}
		if r := get(t, newTransport(t, &fakeIssuer{}, transport.NewBase(), listing(server)), server.URL+path); r.body != want {
			t.Errorf("%q arrived as %q, want %q", path, r.body, want)
		}
	}
}

// Without TLS, as on loopback, the Host must not come from the client: the
// server may route by it.
func TestRoundTrip_SendsNoHostOfClients(t *testing.T) {
	const listed = "pismo.example"
	for _, test := range []struct{ host, want string }{
		{"", ""},
		{"evil.example", ""},
		{"127.0.0.1", ""},
		{listed, listed},
		{"PISMO.example", "PISMO.example"},
		{"localhost:7", "localhost:7"},
		{"localhost:8", ""},
	} {
		server := newServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
		address := server.Listener.Addr().String()
		rt := newTransport(t, &fakeIssuer{}, transport.NewBase(), func(c *transport.Config) { c.Hosts = []string{address, listed, "localhost:7"} })
		req := newRequest(t, http.MethodGet, server.URL, nil)
		req.Host = test.host
		want := test.want
		if want == "" {
			want = address
		}
		if r := send(t, rt, req); r.body != want {
			t.Errorf("Host %q was sent as %q, want %q", test.host, r.body, want)
		}
	}
}

// net/http dials URL.Host and sends the target. Also over TLS, the server saw a
// Host that the client chose.
func TestRoundTrip_OpaqueReachesNoServer(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := &fakeIssuer{}
		server, base := newTLSServer(t, http2, func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("the server saw Host %q and target %q", r.Host, r.RequestURI)
		})
		rt := newTransport(t, m, base, listing(server))
		u, err := url.Parse("x:https://evil.example/admin")
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme, u.Host = "https", server.Listener.Addr().String()
		_, err = rt.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		wantUnsent(t, err, transport.ErrRequestTarget)
	}
}

// Account tells a proxy, which names the account of each request, that the
// Transport already has an account.
func TestAccount_ReturnsConfigured(t *testing.T) {
	if account, ok := newTransport(t, &fakeIssuer{}, &fakeBase{}).Account(); !ok || account != tokensource.Organization() {
		t.Errorf("got %v, %t, want the organization", account, ok)
	}
	if account, ok := newTransport(t, &fakeIssuer{}, &fakeBase{}, noDefaultAccount).Account(); ok {
		t.Errorf("got %v, want none", account)
	}
}

// A base that breaks the contract of http.RoundTripper causes an error.
func TestBase_BreakingItsContract(t *testing.T) {
	body := &spy{Reader: strings.NewReader("")}
	failure := errors.New("error of the base")
	for name, base := range map[string]roundTripper{
		"neither": func(*http.Request) (*http.Response, error) { return nil, nil },
		"both": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: body}, failure
		},
		"error without a body": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200}, failure
		},
	} {
		for _, bare := range []bool{false, true} {
			req := newRequest(t, http.MethodGet, target, nil)
			if bare {
				req.URL.Host, req.Response = "other.example", &http.Response{Request: newRequest(t, http.MethodGet, target, nil)}
			}
			resp, err := newTransport(t, &fakeIssuer{}, base).RoundTrip(req)
			if resp != nil || err == nil || name != "neither" && err != failure {
				t.Errorf("%s: got %v with error %v, want an error only", name, resp, err)
			}
		}
	}
	if body.closed.Load() == 0 {
		t.Error("the body beside an error was not closed")
	}
}
