// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A request that names no account fails. A request that names an account other
// than Config.Account fails too.
func TestAccount_ComesFromContextOrConfig(t *testing.T) {
	var (
		a, b = acct(t, "1"), acct(t, "2")
		zero = tokensource.Account{}
		org  = tokensource.Organization()
	)
	for _, test := range []struct {
		name       string
		configured tokensource.Account
		named      []tokensource.Account // by the context; none or one
		want       tokensource.Account
		err        error
	}{
		{"of the context", zero, []tokensource.Account{a}, a, nil},
		{"of the configuration", b, nil, b, nil},
		{"of both", a, []tokensource.Account{a}, a, nil},
		{"the organization of the configuration", org, nil, org, nil},
		{"none", zero, nil, zero, transport.ErrNoAccount},
		{"two", a, []tokensource.Account{b}, zero, transport.ErrAccountConflict},
		{"the organization against one account", org, []tokensource.Account{a}, zero, transport.ErrAccountConflict},
		{"one account against the organization", a, []tokensource.Account{org}, zero, transport.ErrAccountConflict},
		{"a zero one of the context", zero, []tokensource.Account{zero}, zero, tokensource.ErrMisconfigured},
		{"a zero one against one account", a, []tokensource.Account{zero}, zero, transport.ErrAccountConflict},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, w := &fakeIssuer{}, &fakeBase{}
			rt := newTransport(t, m, w, func(c *transport.Config) { c.Account = test.configured })
			body := &spy{Reader: strings.NewReader("payment")}
			req := newRequest(t, http.MethodPost, target, body)
			for _, account := range test.named {
				req = req.WithContext(tokensource.ContextWithAccount(req.Context(), account))
			}
			resp, err := rt.RoundTrip(req)
			if test.err != nil {
				if !errors.Is(err, test.err) || !errors.Is(err, tokensource.ErrMisconfigured) {
					t.Errorf("got error %v, want %v", err, test.err)
				}
				wantSent(t, w, 0)
				wantIssued(t, m, 0)
				body.wantClosedOnce(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got, ok := m.account(w.requests()[0].header); !ok || got != test.want {
				t.Errorf("it acted for %v, want %v", got, test.want)
			}
		})
	}
}

// The issuer must not request a token from its own Source: it would wait for
// itself.
func TestIssuer_BehindItsOwnTransportFails(t *testing.T) {
	var client *http.Client
	m := &fakeIssuer{before: func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}}
	w := &fakeBase{}
	rt := newTransport(t, m, w)
	client = &http.Client{Transport: rt}
	_, err := rt.RoundTrip(newRequest(t, http.MethodGet, target, nil))
	if e, ok := errors.AsType[*tokensource.Error](err); !ok || e.Kind != tokensource.ErrMisconfigured {
		t.Errorf("got error %v, want ErrMisconfigured", err)
	}
	wantSent(t, w, 0)
}
