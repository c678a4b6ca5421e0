// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// Tokens were revoked and the token endpoint was down. Each process sent
// thousands of requests with a token that every endpoint had refused.
func TestEvidence_SeveralEndpointsStopToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		m.before = func(context.Context) error {
			if m.issuances() > 0 {
				return tokensource.NewError(tokensource.ErrUnavailable, errors.New("down"))
			}
			return nil
		}
		w := &fakeBase{answer: m.answer}
		rt := newTransport(t, m, w)
		get(t, rt, target)
		m.revoke()
		failed := 0
		for i := range 100 {
			url := "https://" + host + "/v1/" + []string{"payments", "accounts", "cards"}[i%3] + "/1"
			if _, err := trySend(rt, newRequest(t, http.MethodPost, url, strings.NewReader("payment"))); err != nil {
				failed++
				if !errors.Is(err, tokensource.ErrUnavailable) {
					t.Fatalf("request %d: got error %v, want the cause", i, err)
				}
			}
		}
		if n := len(w.requests()); n > 4 || failed < 97 {
			t.Errorf("%d requests were sent, and %d failed at once; want few of them sent", n, failed)
		}
	})
}

// The refusals of a single endpoint say nothing about a token, whatever the
// account or the payment.
func TestEvidence_OneEndpointIsNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		m.before = func(context.Context) error {
			if m.issuances() > 0 {
				return tokensource.NewError(tokensource.ErrUnavailable, errors.New("down"))
			}
			return nil
		}
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			if strings.Contains(s.url, "/broken/") {
				return respond(http.StatusUnauthorized, ""), nil
			}
			return m.answer(s)
		}}
		rt := newTransport(t, m, w)
		for i := range 50 {
			id := string(rune('0' + i%10))
			for _, url := range []string{"/broken/" + id, "/broken/123e4567-e89b-12d3-a456-42661417400" + id, "/broken/0123456789abcdef" + id + "?q=" + id} {
				if _, err := trySend(rt, newRequest(t, http.MethodPost, "https://"+host+url, nil)); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantStatus(t, get(t, rt, target), http.StatusOK)
	})
}

// A business answer shows that the endpoint accepted the token.
func TestEvidence_BusinessAnswerAcceptsToken(t *testing.T) {
	for body, stopped := range map[string]bool{business: false, `{"code":"WCAC0001"}`: false, `{"code":"unknown"}`: true} {
		synctest.Test(t, func(t *testing.T) {
			m := &fakeIssuer{}
			m.before = func(context.Context) error {
				if m.issuances() > 0 {
					return tokensource.NewError(tokensource.ErrUnavailable, errors.New("down"))
				}
				return nil
			}
			w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
				if strings.HasSuffix(s.url, "/business") {
					return respond(http.StatusUnauthorized, body), nil
				}
				return respond(http.StatusUnauthorized, ""), nil
			}}
			rt := newTransport(t, m, w)
			for _, path := range []string{"/a", "/b", "/business", "/c"} {
				_, _ = trySend(rt, newRequest(t, http.MethodPost, "https://"+host+path, nil))
			}
			_, err := trySend(rt, newRequest(t, http.MethodPost, "https://"+host+"/a", nil))
			if (err != nil) != stopped {
				t.Errorf("%s: got error %v, want one: %t", body, err, stopped)
			}
			synctest.Wait()
		})
	}
}

func TestEndpoint_CollapsesIDs(t *testing.T) {
	for in, want := range map[string]string{
		"https://H.example/v1/payments":                                  "h.example/v1/payments",
		"https://h.example:8443/v1/payments?account=1#x":                 "h.example:8443/v1/payments",
		"https://h.example/v1/accounts/102681871/statements":             "h.example/v1/accounts/*/statements",
		"https://h.example/v1/x/123e4567-e89b-12d3-a456-426614174000":    "h.example/v1/x/*",
		"https://h.example/v1/x/TN-123E4567-E89B-12D3-A456-426614174000": "h.example/v1/x/*",
		"https://h.example/v1/x/0123456789abcdef0123":                    "h.example/v1/x/*",
		"https://h.example/v1/x/deadbeefdeadbeef":                        "h.example/v1/x/deadbeefdeadbeef",
		"https://h.example/v1/x/abc123":                                  "h.example/v1/x/abc123",
		"https://h.example":                                              "h.example",
		"https://h.example/":                                             "h.example/",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := transport.Endpoint(u); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

// A request that cannot be replayed gets its 401 at once. Waiting for a renewal
// would not help its caller.
func TestStream_DoesNotWaitForRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		m.before = func(context.Context) error {
			if m.issuances() > 0 {
				sleep(5 * time.Second)
			}
			return nil
		}
		w := &fakeBase{answer: m.answer}
		rt := newTransport(t, m, w)
		get(t, rt, target)
		m.revoke()
		began := time.Now()
		r := send(t, rt, newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment"))))
		if took := time.Since(began); took != 0 || r.status != http.StatusUnauthorized {
			t.Errorf("got status %d after %v, want the 401 at once", r.status, took)
		}
		sleep(5 * time.Second)
		synctest.Wait()
		wantStatus(t, get(t, rt, target), http.StatusOK)
		wantIssued(t, m, 2)
	})
}
