// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

func TestHosts_OnlyListedHostGetsToken(t *testing.T) {
	const (
		sent      = transport.UnsentError("")
		notListed = transport.ErrHostNotListed
		plaintext = transport.ErrPlaintext
	)
	for _, test := range []struct {
		listed, url string
		want        transport.UnsentError
	}{
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io/x", sent},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io:443/x", sent},
		{"sandbox.pismolabs.io", "https://SANDBOX.PismoLabs.IO:443/x", sent},
		{"SandBox.pismolabs.IO", "https://sandbox.pismolabs.io/x", sent},
		{"sandbox.pismolabs.io:443", "https://sandbox.pismolabs.io/x", sent},
		{"sandbox.pismolabs.io", "https://user@sandbox.pismolabs.io/x", sent},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io:8443/x", notListed},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io:80/x", notListed},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io./x", notListed},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io.evil.example/x", notListed},
		{"sandbox.pismolabs.io", "https://evil-sandbox.pismolabs.io/x", notListed},
		{"sandbox.pismolabs.io", "https://pismolabs.io/x", notListed},
		{"sandbox.pismolabs.io", "https://a.sandbox.pismolabs.io/x", notListed},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io@evil.example/x", notListed},
		{"sandbox.pismolabs.io", "https://evil.example/sandbox.pismolabs.io", notListed},
		{"sandbox.pismolabs.io", "https://evil.example?sandbox.pismolabs.io", notListed},
		{"sandbox.pismolabs.io", "https://evil.example#sandbox.pismolabs.io", notListed},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io:/x", notListed},
		{"sandbox.pismolabs.io", "https://sandbox.pismolabs.io:0443/x", notListed},
		{"sandbox.pismolabs.io", "http://sandbox.pismolabs.io/x", plaintext},
		{"sandbox.pismolabs.io", "http://sandbox.pismolabs.io:443/x", plaintext},
		{"sandbox.pismolabs.io", "http://sandbox.pismolabs.io:80/x", notListed},
		{"sandbox.pismolabs.io", "ftp://sandbox.pismolabs.io/x", plaintext},
		{"sandbox.pismolabs.io", "//sandbox.pismolabs.io/x", plaintext},
		{"sandbox.pismolabs.io", "/x", notListed},
		{"sandbox.pismolabs.io", "https:sandbox.pismolabs.io", notListed},

		// Unicode treats letters as equal that the resolver distinguishes. net/http
		// dials the first of these hosts as sandbox.xn--pismolabs-ykd.io.
		{"sandbox.pismolabs.io", "https://sandbox.pİsmolabs.io/x", notListed},
		{"kiosk.example", "https://\u212aiosk.example/x", notListed},
		{"kiosk.example", "https://kio\u017fk.example/x", notListed},

		{"sandbox.pismolabs.io:8443", "https://sandbox.pismolabs.io:8443/x", sent},
		{"sandbox.pismolabs.io:8443", "https://sandbox.pismolabs.io/x", notListed},
		{"sandbox.pismolabs.io:8443", "https://sandbox.pismolabs.io:443/x", notListed},

		{"[2001:db8::1]", "https://[2001:db8::1]/x", sent},
		{"[2001:db8::1]", "https://[2001:db8::1]:443/x", sent},
		{"[2001:db8::1]", "https://[2001:DB8::1]/x", sent},
		{"[2001:db8::1]", "https://[2001:db8::2]/x", notListed},
		{"[2001:db8::1]", "https://[2001:db8::1%25eth0]/x", notListed},
		{"[2001:db8::1]", "http://[2001:db8::1]/x", plaintext},
		{"[2001:db8::443]", "https://[2001:db8::443]:443/x", sent},

		{"localhost:8080", "http://localhost:8080/x", sent},
		{"localhost:8080", "https://LOCALHOST:8080/x", sent},
		{"localhost:8080", "http://localhost:8081/x", notListed},
		{"localhost", "http://localhost/x", sent},
		{"localhost", "http://localhost:80/x", sent},
		{"localhost", "http://localhost:443/x", plaintext},
		{"127.0.0.1", "http://127.0.0.1/x", sent},
		{"127.0.0.1", "http://127.0.0.2/x", notListed},
		{"[::1]:8080", "http://[::1]:8080/x", sent},
		{"[::1]", "http://[::1]/x", sent},
		{"localhost.evil.example", "http://localhost.evil.example/x", plaintext},
		{"sub.localhost", "http://sub.localhost/x", plaintext},
		{"10.0.0.1", "http://10.0.0.1/x", plaintext},
		{"0.0.0.0", "http://0.0.0.0/x", plaintext},
	} {
		t.Run(test.listed+" "+test.url, func(t *testing.T) {
			m, w := &fakeIssuer{}, &fakeBase{}
			rt := newTransport(t, m, w, func(c *transport.Config) { c.Hosts = []string{test.listed} })
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			body := &spy{Reader: strings.NewReader("payment")}
			req := newRequest(t, http.MethodPost, target, body)
			req.URL, req.Host = u, ""
			resp, err := rt.RoundTrip(req)
			if accepted := rt.Accepts(u); accepted != err {
				t.Errorf("Accepts says %v, RoundTrip %v", accepted, err)
			}
			if test.want == sent {
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := m.account(w.requests()[0].header); !ok {
					t.Error("it was sent without a token")
				}
				_ = resp.Body.Close()
				return
			}
			wantUnsent(t, err, test.want)
			wantSent(t, w, 0)
			wantIssued(t, m, 0)
			body.wantClosedOnce(t)
		})
	}
}

func wantUnsent(tb testing.TB, err error, want transport.UnsentError) {
	tb.Helper()
	if err != error(want) {
		tb.Errorf("got error %v, want %v", err, want)
	}
	if !errors.Is(err, tokensource.ErrMisconfigured) {
		tb.Errorf("%v is not ErrMisconfigured", err)
	}
}

// A CDN routes a request by its Host, whatever the address of the connection. A
// reverse proxy that keeps the field gets it from its client.
func TestHosts_RefusesForeignHostHeader(t *testing.T) {
	for _, test := range []struct {
		url, host string
		want      error
	}{
		{target, "", nil},
		{target, host, nil},
		{target, host + ":443", nil},
		{target, strings.ToUpper(host), nil},
		{target, "gw-pci.pismolabs.io", nil}, // Also a listed host.
		{target, "evil.example", transport.ErrHostHeader},
		{target, host + ".evil.example", transport.ErrHostHeader},
		{target, host + ":8443", transport.ErrHostHeader},
		{"http://localhost:8080/x", "bank.example", nil},
	} {
		w := &fakeBase{answer: always(http.StatusOK, "")}
		m := &fakeIssuer{}
		rt := newTransport(t, m, w, func(c *transport.Config) { c.Hosts = []string{host, "gw-pci.pismolabs.io", "localhost:8080"} })
		req := newRequest(t, http.MethodPost, test.url, strings.NewReader("payment"))
		req.Host = test.host
		_, err := trySend(rt, req)
		if !errors.Is(err, test.want) {
			t.Errorf("%s with Host %q: got %v, want %v", test.url, test.host, err, test.want)
		}
		want := 1
		if test.want != nil {
			want = 0
		}
		wantSent(t, w, want)
		wantIssued(t, m, want)
	}
}

// A program can build a URL that url.Parse would refuse.
func TestHosts_RefusesMalformedURL(t *testing.T) {
	for _, u := range []*url.URL{
		nil,
		{},
		{Scheme: "https"},
		{Scheme: "https", Host: host + ":443:443"},
		{Scheme: "https", Host: " " + host},
		{Scheme: "https", Host: host + " "},
		{Scheme: "https", Host: host + "/"},
		{Scheme: "https", Host: host + "\x00"},
		{Scheme: "https", Host: host + "\r\nX: y"},
		{Scheme: "https", Host: "evil.example#" + host},
		{Scheme: "https", Host: "[" + host + "]"},
		{Scheme: "https", Opaque: "//" + host + "/x"},
		{Scheme: "HTTPS", Host: host},
	} {
		m, w := &fakeIssuer{}, &fakeBase{}
		rt := newTransport(t, m, w)
		req := newRequest(t, http.MethodPost, target, nil)
		req.URL = u
		if _, err := rt.RoundTrip(req); !errors.Is(err, tokensource.ErrMisconfigured) {
			t.Errorf("%v: got error %v, want one that is ErrMisconfigured", u, err)
		}
		wantSent(t, w, 0)
		wantIssued(t, m, 0)
	}
}

// The Turkish letter was dialled as another host, with a token.
func TestHosts_LookalikeIsNotDialed(t *testing.T) {
	m := &fakeIssuer{}
	dialled := ""
	base := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, errors.New("no network here")
	}}
	rt := newTransport(t, m, base)
	req := newRequest(t, http.MethodPost, strings.Replace(target, "pismo", "pİsmo", 1), nil)
	if _, err := rt.RoundTrip(req); err == nil || dialled != "" {
		t.Errorf("dialled %q, with error %v", dialled, err)
	}
}
