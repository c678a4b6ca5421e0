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

func TestAuthorization_OfCallerIsRefused(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "AUTHORIZATION", "aUtHoRiZaTiOn"} {
		for _, values := range [][]string{{"Basic c2VjcmV0"}, {"", "Bearer x"}, {"Bearer x y"}, {"eyJhbGciOiJub25lIn0.e30."}} {
			m, w := &fakeIssuer{}, &fakeBase{}
			body := &spy{Reader: strings.NewReader("payment")}
			req := newRequest(t, http.MethodPost, target, body)
			req.ContentLength = int64(len("payment"))
			req.Header[name] = values
			_, err := newTransport(t, m, w).RoundTrip(req)
			wantUnsent(t, err, transport.ErrAuthorizationPresent)
			wantSent(t, w, 0)
			wantIssued(t, m, 0)
			body.wantClosedOnce(t)
		}
	}
}

// The transport replaces the middleware's token by the current one.
func TestContextToken_HeaderIsReplaced(t *testing.T) {
	m, w := &fakeIssuer{}, &fakeBase{}
	w.answer = m.answer
	rt := newTransport(t, m, w)
	token, err := rt.Source().Token(t.Context(), tokensource.Organization())
	if err != nil {
		t.Fatal(err)
	}
	marked := func() *http.Request {
		req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
		token.SetAuthHeader(req.Header)
		return req.WithContext(tokensource.ContextWithForwardedToken(req.Context(), token))
	}
	m.revoke()
	for range 2 { // The first is replayed; the second uses the new token at once.
		wantStatus(t, send(t, rt, marked()), http.StatusOK)
	}
	wantSent(t, w, 3)
	wantIssued(t, m, 2)

	for name, spoil := range map[string]func(*http.Request){
		"another value":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer another") },
		"a second value": func(r *http.Request) { r.Header.Add("Authorization", "Bearer another") },
		"no mark":        func(r *http.Request) { *r = *r.WithContext(t.Context()) },
	} {
		req := marked()
		spoil(req)
		if _, err := trySend(rt, req); err != error(transport.ErrAuthorizationPresent) {
			t.Errorf("%s: got error %v, want ErrAuthorizationPresent", name, err)
		}
	}
	wantSent(t, w, 3)
}

// The token in the context marks the header as the middleware's. It does not
// select the account.
func TestContextToken_NamesNoAccount(t *testing.T) {
	m, w := &fakeIssuer{}, &fakeBase{}
	rt := newTransport(t, m, w, noDefaultAccount)
	token, err := rt.Source().Token(t.Context(), acct(t, "1"))
	if err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, http.MethodGet, target, nil)
	token.SetAuthHeader(req.Header)
	ctx := tokensource.ContextWithForwardedToken(req.Context(), token)
	_, err = trySend(rt, req.WithContext(ctx))
	wantUnsent(t, err, transport.ErrNoAccount)
	wantSent(t, w, 0)
	wantStatus(t, send(t, rt, req.WithContext(tokensource.ContextWithAccount(ctx, acct(t, "2")))), http.StatusOK)
	if got, _ := m.account(w.requests()[0].header); got != acct(t, "2") {
		t.Errorf("it acted for account %q, want 2", got.ID())
	}
}

// http.Client makes an Authorization field from a password in the URL.
func TestAuthorization_URLPasswordIsRefused(t *testing.T) {
	w := &fakeBase{}
	client := &http.Client{Transport: newTransport(t, &fakeIssuer{}, w)}
	req := newRequest(t, http.MethodGet, "https://user:secret@"+host, nil)
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, transport.ErrAuthorizationPresent) {
		t.Errorf("got error %v, want ErrAuthorizationPresent", err)
	}
	wantSent(t, w, 0)
}
