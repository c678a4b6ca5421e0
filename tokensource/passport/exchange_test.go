// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A redirect would send the secret to another address.
func TestS2S_NeverFollowsRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"/other", "elsewhere", "http://%zz", ""} {
			t.Run(fmt.Sprint(status, " ", location), func(t *testing.T) {
				var posted, elsewhere atomic.Int32
				other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
				if location == "elsewhere" {
					location = other + "/passport/v2/s2s/access-token"
				}
				s := issuer(serve(t, func(w http.ResponseWriter, _ *http.Request) {
					posted.Add(1)
					if location != "" {
						w.Header().Set("Location", location)
					}
					w.WriteHeader(status)
				}))
				asked := false
				s.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
					asked = true
					return nil
				}}
				_, err := s.Issue(t.Context(), tokensource.Organization())
				if location == "http://%zz" {
					// If a Location is not a URL, net/http fails before it calls
					// CheckRedirect.
					wantKind(t, err, tokensource.ErrUnavailable)
				} else if failure := failedWith(t, err, tokensource.ErrMalformedResponse); failure.StatusCode != status {
					t.Errorf("StatusCode = %d, want %d", failure.StatusCode, status)
				}
				if posted.Load() != 1 || elsewhere.Load() != 0 {
					t.Errorf("posted %d times, and %d times elsewhere, want 1 and 0", posted.Load(), elsewhere.Load())
				}
				if asked || s.Client.CheckRedirect == nil {
					t.Error("the caller's CheckRedirect was called or replaced")
				}
			})
		}
	}
}

func TestS2S_UsesClientUnmodified(t *testing.T) {
	base := serve(t, answer(http.StatusCreated, `{"token":"t"}`))
	trips := 0
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{
		Transport: roundTripperFunc(func(req *http.Request) (*http.Response, error) {
			trips++
			return http.DefaultTransport.RoundTrip(req)
		}),
		Jar:     jar,
		Timeout: time.Minute,
	}
	s := issuer(base)
	s.Client = client
	for range 3 {
		if _, err := s.Issue(t.Context(), tokensource.Organization()); err != nil {
			t.Fatal(err)
		}
	}
	if trips != 3 {
		t.Errorf("the client's transport sent %d requests, want 3", trips)
	}
	if client.CheckRedirect != nil || client.Jar != jar || client.Timeout != time.Minute || s.Client != client {
		t.Errorf("the client was modified: %+v", client)
	}
}

func TestS2S_KeepsNoCookies(t *testing.T) {
	var cookies atomic.Int32
	s := issuer(serve(t, func(w http.ResponseWriter, r *http.Request) {
		cookies.Add(int32(len(r.Cookies())))
		http.SetCookie(w, &http.Cookie{Name: "__cf_bm", Value: "x"})
		answer(http.StatusCreated, `{"token":"t"}`)(w, r)
	}))
	for range 2 {
		if _, err := s.Issue(t.Context(), tokensource.Organization()); err != nil {
			t.Fatal(err)
		}
	}
	if n := cookies.Load(); n != 0 {
		t.Errorf("%d cookies came back, want 0", n)
	}
}

func TestS2S_ReusesConnectionAfterRefusal(t *testing.T) {
	conns := make(map[string]bool)
	s := issuer(serve(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		answer(http.StatusUnauthorized, refusal)(w, r)
	}))
	for range 5 {
		_, err := s.Issue(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrCredentialsRejected)
	}
	if len(conns) != 1 {
		t.Errorf("5 refusals took %d connections, want 1", len(conns))
	}
}
