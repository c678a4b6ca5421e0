// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

func TestRedirect_UnlistedHostGetsNoToken(t *testing.T) {
	for status, method := range map[int]string{http.StatusFound: http.MethodPost, http.StatusTemporaryRedirect: http.MethodGet} {
		m := &fakeIssuer{}
		elsewhere := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("the other host got a token")
			}
			w.WriteHeader(http.StatusUnauthorized) // A 401 must not get it a token either.
		})
		server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, status)
		}))
		client := &http.Client{Transport: newTransport(t, m, transport.NewBase(), listing(server))}
		resp, err := client.Do(newRequest(t, method, server.URL, nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got status %d, want the other host's 401", resp.StatusCode)
		}
		wantIssued(t, m, 1)
	}
}

func TestRedirect_ListedHostGetsToken(t *testing.T) {
	m := &fakeIssuer{}
	second := newServer(t, m.guard(func(http.ResponseWriter, *http.Request) {}))
	first := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, second.URL, http.StatusTemporaryRedirect)
	}))
	client := &http.Client{Transport: newTransport(t, m, transport.NewBase(), func(c *transport.Config) {
		c.Hosts = []string{first.Listener.Addr().String(), second.Listener.Addr().String()}
	})}
	resp, err := client.Do(newRequest(t, http.MethodPost, first.URL, strings.NewReader("search")))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Host != second.Listener.Addr().String() {
		t.Errorf("got status %d from %s, want 200 from the second host", resp.StatusCode, resp.Request.URL.Host)
	}
	wantIssued(t, m, 1)
}

func TestRedirect_PlaintextGetsNoToken(t *testing.T) {
	m := &fakeIssuer{}
	w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
		if s.number == 1 {
			return respond(http.StatusFound, "", "Location", "http://"+host+"/"), nil
		}
		return respond(http.StatusOK, ""), nil
	}}
	client := &http.Client{Transport: newTransport(t, m, w)}
	resp, err := client.Do(newRequest(t, http.MethodGet, target, nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	wantSent(t, w, 2)
	if got := w.requests()[1].header.Get("Authorization"); got != "" {
		t.Error("the token was sent without TLS")
	}
}

// A handler behind the middleware forwards a request with the token in its
// header. net/http copies that field into redirects to other ports and
// subdomains.
func TestRedirect_DropsMiddlewareToken(t *testing.T) {
	for _, location := range []string{"https://" + host + ":8443/", "https://evil." + host + "/", "http://" + host + "/"} {
		m := &fakeIssuer{}
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				return respond(http.StatusTemporaryRedirect, "", "Location", location), nil
			}
			return respond(http.StatusOK, ""), nil
		}}
		rt := newTransport(t, m, w)
		token, err := rt.Source().Token(t.Context(), tokensource.Organization())
		if err != nil {
			t.Fatal(err)
		}
		req := newRequest(t, http.MethodPost, target, nil)
		req = req.WithContext(tokensource.ContextWithForwardedToken(req.Context(), token))
		token.SetAuthHeader(req.Header)
		req.Header.Set("X-Other", "kept")
		client := &http.Client{Transport: rt}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		wantSent(t, w, 2)
		redirected := w.requests()[1]
		if redirected.url != location || redirected.header.Get("Authorization") != "" || redirected.header.Get("X-Other") != "kept" {
			t.Errorf("the request that was redirected to %s was sent as %+v", location, redirected)
		}
		if resp.Request == nil || resp.Request.URL.String() != location {
			t.Errorf("the response is to %+v", resp.Request)
		}
	}
}

// A program may set the token itself if an operation requires the token in
// another field. A client copies such a field into a redirected request.
func TestRedirect_LeavesTokensOfCallerBehind(t *testing.T) {
	w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
		if s.number == 1 {
			return respond(http.StatusTemporaryRedirect, "", "Location", "https://evil."+host+"/"), nil
		}
		return respond(http.StatusOK, ""), nil
	}}
	rt := newTransport(t, &fakeIssuer{}, w)
	token, err := rt.Source().Token(t.Context(), tokensource.Organization())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization":      token.Reveal(),
		"authorization":      "bearer " + token.Reveal(),
		"AuthorizationToken": "of-an-earlier-time",
		"AUTHORIZATIONTOKEN": token.Reveal(),
	} {
		w.sent = nil
		req := newRequest(t, http.MethodGet, target, nil)
		req.Header[name] = []string{value}
		req.Header.Set("X-Other", "kept")
		resp, err := (&http.Client{Transport: rt}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		wantSent(t, w, 2)
		if header := w.requests()[1].header; header[name] != nil || header.Get("Authorization") != "" || header.Get("X-Other") != "kept" {
			t.Errorf("%s went to an unlisted host: %v", name, header)
		}
	}
}

// A password in the URL of a redirect belongs to that URL.
func TestRedirect_KeepsPasswordOfTarget(t *testing.T) {
	w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
		if s.number == 1 {
			return respond(http.StatusTemporaryRedirect, "", "Location", "https://user:password@elsewhere.example/"), nil
		}
		return respond(http.StatusOK, ""), nil
	}}
	resp, err := (&http.Client{Transport: newTransport(t, &fakeIssuer{}, w)}).Do(newRequest(t, http.MethodGet, target, nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := w.requests()[1].header.Get("Authorization"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("it was sent with %q, want the password", got)
	}
}

// A 307 keeps the body. A payment must not reach an unlisted host.
func TestRedirect_KeepsBodyFromUnlistedHost(t *testing.T) {
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, location := range []string{"https://evil.example/", "http://" + host + "/", "https://" + host + ":8443/"} {
			w := &fakeBase{answer: always(status, "", "Location", location)}
			client := &http.Client{Transport: newTransport(t, &fakeIssuer{}, w)}
			resp, err := client.Do(newRequest(t, http.MethodPost, target, strings.NewReader("payment")))
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, transport.ErrRedirectedBody) || !tokensource.IsPermanent(err) {
				t.Errorf("%d to %s: got error %v, want ErrRedirectedBody", status, location, err)
			}
			wantSent(t, w, 1)
		}
	}
}

// A body of unknown length is also a body, and so is the body of a GET.
func TestRedirect_KeepsStreamFromUnlistedHost(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		w := &fakeBase{}
		body := &spy{Reader: strings.NewReader("payment")}
		req := newRequest(t, method, "https://evil.example/", body)
		req.Response = &http.Response{Request: newRequest(t, method, target, nil)}
		_, err := newTransport(t, &fakeIssuer{}, w).RoundTrip(req)
		wantUnsent(t, err, transport.ErrRedirectedBody)
		wantSent(t, w, 0)
		body.wantClosedOnce(t)
	}
}

// The intermediate host would choose how the token is used.
func TestRedirect_BackFromUnlistedHostGetsNoToken(t *testing.T) {
	for name, hops := range map[string][]string{
		"at once":         {"https://evil.example/", target + "/cancel"},
		"over two hosts":  {"https://evil.example/", "https://other.example/", target + "/cancel"},
		"and once more":   {target, "https://evil.example/", target + "/cancel"},
		"from plaintext":  {"http://" + host + "/", target + "/cancel"},
		"to the root":     {"https://evil.example/", "https://" + host},
		"to another path": {"https://evil.example/", target + "/cancel", target + "/pay"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &fakeIssuer{}
			w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
				if s.number > len(hops) {
					return respond(http.StatusOK, ""), nil
				}
				return respond(http.StatusTemporaryRedirect, "", "Location", hops[s.number-1]), nil
			}}
			client := &http.Client{Transport: newTransport(t, m, w)}
			resp, err := client.Do(newRequest(t, http.MethodGet, target, nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, transport.ErrRedirectedBack) {
				t.Errorf("got error %v, want ErrRedirectedBack", err)
			}
			strayed := false
			for _, s := range w.requests() {
				_, authorized := m.account(s.header)
				if strayed = strayed || !strings.HasPrefix(s.url, "https://"+host); strayed && authorized {
					t.Errorf("%s got a token", s.url)
				}
			}
		})
	}
}

// A chain of redirects with an unknown first request may come from any host.
func TestRedirect_UnknownOriginGetsNoToken(t *testing.T) {
	circular := newRequest(t, http.MethodGet, target, nil)
	circular.Response = &http.Response{Request: circular}
	unknown := newRequest(t, http.MethodGet, target, nil)
	unknown.Response = &http.Response{}
	for _, req := range []*http.Request{circular, unknown} {
		w := &fakeBase{}
		_, err := newTransport(t, &fakeIssuer{}, w).RoundTrip(req)
		wantUnsent(t, err, transport.ErrRedirectedBack)
		wantSent(t, w, 0)
	}
}
