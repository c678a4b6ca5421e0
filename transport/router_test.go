// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// named returns a RoundTripper that answers with the given name.
func named(name string) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		return respond(http.StatusOK, name), nil
	})
}

func TestRouter_Patterns(t *testing.T) {
	router, err := transport.NewRouter(map[string]http.RoundTripper{
		"/accounts/":                 named("accounts"),
		"/accounts/{id}/limits":      named("limits"),
		"GET /bankaccounts/v1/":      named("reading"),
		"POST /bankaccounts/v1/":     named("writing"),
		"other.pismolabs.io/":        named("other"),
		"third.pismolabs.io/{$}":     named("root"),
		"fourth.pismolabs.io/only/x": named("fourth"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ method, url, want string }{
		{"GET", "https://pismo.example/accounts/42", "accounts"},
		{"DELETE", "https://pismo.example/accounts/", "accounts"},
		{"GET", "https://pismo.example/accounts/42/limits", "limits"},
		{"GET", "https://pismo.example/accounts/4%2F2/limits", "limits"},
		{"GET", "https://pismo.example/bankaccounts/v1/x?y=1", "reading"},
		{"HEAD", "https://pismo.example/bankaccounts/v1/x", "reading"},
		{"", "https://pismo.example/bankaccounts/v1/x", "reading"},
		{"POST", "https://pismo.example/bankaccounts/v1/x", "writing"},
		{"PUT", "https://pismo.example/bankaccounts/v1/x", ""},
		{"GET", "https://other.pismolabs.io/anything", "other"},
		{"GET", "https://OTHER.pismolabs.io:8443/anything", "other"},
		{"GET", "https://third.pismolabs.io", "root"},
		{"GET", "https://fourth.pismolabs.io/only/y", ""},
		{"GET", "https://pismo.example/accounts", ""},
		{"GET", "https://pismo.example/accountsx", ""},
		{"GET", "https://pismo.example/x/../accounts/42", ""},
		{"GET", "https://pismo.example//accounts/42", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Method = test.method
		resp, err := router.RoundTrip(req)
		if test.want == "" {
			if !errors.Is(err, transport.ErrNoRoute) {
				t.Errorf("%s %s: %v, want ErrNoRoute", test.method, test.url, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: got error %v, want %s", test.method, test.url, err, test.want)
			continue
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != test.want {
			t.Errorf("%s %s went to %s, want %s", test.method, test.url, body, test.want)
		}
	}
}

func TestRouter_Default(t *testing.T) {
	router, err := transport.NewRouter(map[string]http.RoundTripper{"/accounts/": named("accounts"), "": named("default")})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://pismo.example/other", "https://pismo.example/accounts", "https://pismo.example/x//y", "https://pismo.example/..x/.y/z..;a=.."} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := router.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "default" {
			t.Errorf("%q went to %s, want default", address, body)
		}
	}
}

// A server might read these requests as another path. So no pattern may choose
// their token, and the default may not either.
func TestRouter_AmbiguousTargetHasNoRoute(t *testing.T) {
	router, err := transport.NewRouter(map[string]http.RoundTripper{
		"/accounts/": named("accounts"), "/{a}": named("one"), "/{a}/{b...}": named("all"), "CONNECT /accounts/": named("connect"), "": named("default"),
	})
	if err != nil {
		t.Fatal(err)
	}
	address := func(target string) *url.URL {
		u, err := url.Parse("https://pismo.example" + target)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	type request struct {
		method string
		url    *url.URL
	}
	requests := []request{
		{"GET", nil},
		{"CONNECT", address("/accounts/42")},
		{"CONNECT", &url.URL{Host: "pismo.example:443"}},
		{"GET", &url.URL{Scheme: "https", Host: "pismo.example", Opaque: "//pismo.example/orgs", Path: "/accounts/42"}},
		{"GET", &url.URL{Scheme: "https", Opaque: "x", Path: "/accounts/42"}},
		{"OPTIONS", &url.URL{Scheme: "https", Host: "pismo.example", Path: "*"}},
	}
	for _, target := range []string{
		"/accounts/../orgs", "/accounts/./42", "/accounts/..", "/accounts/.", "/..", "/other/../x",
		"/accounts/%2e%2e/orgs", "/accounts/.%2E/orgs", "/accounts/..%2forgs", "/accounts/42%2f..%2f..%2forgs", "/accounts/%2e",
		`/accounts/..\orgs`, "/accounts/..%5corgs", `/accounts\..\orgs`, "/accounts/42%5c..%5c..",
		"/accounts/..;/orgs", "/accounts/..;a=b/orgs", "/accounts/..%3ba=b/orgs", "/accounts/.;x", "/accounts/%252e%252e/orgs",
		"/accounts/42%00", "/accounts/%c0%ae%c0%ae/orgs",
	} {
		requests = append(requests, request{"GET", address(target)})
	}
	for _, test := range requests {
		body := &closeRecorder{Reader: strings.NewReader("payment")}
		req := (&http.Request{Method: test.method, URL: test.url, Header: http.Header{}, Body: body}).WithContext(t.Context())
		if _, err := router.RoundTrip(req); !errors.Is(err, transport.ErrNoRoute) || !body.closed {
			t.Errorf("%s %v: got error %v, body closed: %t, want ErrNoRoute and a closed body", test.method, test.url, err, body.closed)
		}
	}
}

// A closeRecorder is a body that records whether it was closed.
type closeRecorder struct {
	io.Reader

	closed bool
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

func TestRouter_NoRouteClosesBody(t *testing.T) {
	router, err := transport.NewRouter(map[string]http.RoundTripper{"/accounts/": named("accounts")})
	if err != nil {
		t.Fatal(err)
	}
	body := &closeRecorder{Reader: strings.NewReader("payment")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://pismo.example/payments", body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = router.RoundTrip(req)
	if !errors.Is(err, transport.ErrNoRoute) || !errors.Is(err, tokensource.ErrMisconfigured) || !body.closed {
		t.Errorf("got error %v, body closed: %t, want ErrNoRoute and a closed body", err, body.closed)
	}
	for _, want := range []string{`"/accounts/" does not match "/accounts"`, "CONNECT", "URL.Opaque", "dot segment"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s: %v", want, err)
		}
	}
}

func TestRouter_ReportsEveryFault(t *testing.T) {
	_, err := transport.NewRouter(map[string]http.RoundTripper{
		"no pattern": named("x"), "/nil/": nil, "": nil, "/{a}/x": named("x"), "/x/{b}": named("x"),
		"/pointer/": (*transport.Transport)(nil), "/function/": roundTripper(nil),
	})
	for _, field := range []string{
		`Router["no pattern"]`, `Router["/nil/"]: is nil`, `Router[""]: is nil`, `Router["/pointer/"]: is nil`, `Router["/function/"]: is nil`, `Router["/{a}/x"]`,
	} {
		if field == `Router["/{a}/x"]` {
			field = `conflicts with another pattern`
		}
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("no fault of %s: %v", field, err)
		}
	}
	if _, err := transport.NewRouter(nil); err == nil {
		t.Error("a Router without patterns is valid")
	}
}

// An idleCounter counts the calls of CloseIdleConnections.
type idleCounter struct {
	http.RoundTripper

	calls int
}

func (c *idleCounter) CloseIdleConnections() { c.calls++ }

func TestRouter_ClosesIdleConnections(t *testing.T) {
	one, fallback := new(idleCounter), new(idleCounter)
	router, err := transport.NewRouter(map[string]http.RoundTripper{"/x": one, "/y": named("y"), "": fallback})
	if err != nil {
		t.Fatal(err)
	}
	(&http.Client{Transport: router}).CloseIdleConnections()
	if one.calls != 1 || fallback.calls != 1 {
		t.Errorf("%d and %d calls, want 1 each", one.calls, fallback.calls)
	}
}

// OpenID has permission groups. Each request gets the token of its group.
func TestRouter_PermissionGroups(t *testing.T) {
	const accounts, orgs = "pismo-v1:accounts:rw", "pismo-v1:orgs:rw"
	s := passporttest.NewServer(t, passporttest.Config{OpenID: passporttest.OpenIDConfig{Groups: map[string][]string{
		accounts: {"/v1/accounts/", "/v1/payments"}, orgs: {"/v1/organization"},
	}}})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.RegisterKey(&key.PublicKey)
	of := func(group string) http.RoundTripper {
		rt, err := transport.New(transport.Config{
			Source: newSource(t, s.OpenIDIssuer(passport.SignerKey(key), group)), Hosts: []string{s.Host()}, Base: s.Client().Transport,
			Account: tokensource.Organization(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	router, err := transport.NewRouter(map[string]http.RoundTripper{
		"/v1/accounts/": of(accounts), "POST /v1/payments": of(accounts), "GET /v1/organization": of(orgs),
	})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for _, path := range []string{"/v1/accounts/42", "/v1/organization", "/v1/accounts/43"} {
		wait.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := router.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: got status %s, want 200", path, resp.Status)
			}
		})
	}
	wait.Wait()
	if c := s.Counts(); c.TotalRefused() != 0 || c.Issued != 2 {
		t.Errorf("%d requests were refused and %d tokens issued, want 0 and 2", c.TotalRefused(), c.Issued)
	}
}

// Requests part ways by patterns. Each RoundTripper is a Transport with a
// Source of its own.
func ExampleNewRouter() {
	var accounts, banking http.RoundTripper = &transport.Transport{}, &transport.Transport{} // from transport.New
	router, err := transport.NewRouter(map[string]http.RoundTripper{
		"/accounts/":            accounts,
		"GET /bankaccounts/v1/": banking,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: router}
	_, err = client.Post("https://sandbox.pismolabs.io/bankaccounts/v1/x", "application/json", nil) //nolint:noctx // There is no response.
	fmt.Println(errors.Is(err, transport.ErrNoRoute))
	// Output: true
}
