// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// These tests run against the fake server of the platform.

// transportTo returns a Transport with tokens from pismo.
func transportTo(t *testing.T, pismo *passporttest.Server, base http.RoundTripper) *transport.Transport {
	t.Helper()
	issuer := pismo.Issuer()
	issuer.Client = &http.Client{Transport: pismo.Client().Transport}
	return newTransport(t, &fakeIssuer{}, base, func(c *transport.Config) {
		c.Source = newSource(t, issuer)
		c.Hosts = []string{pismo.Host()}
		c.Account = tokensource.Account{}
	})
}

func TestPayment_ExecutedOnceAcrossRevocation(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	rt := transportTo(t, pismo, transport.NewBase())
	ctx := tokensource.ContextWithAccount(t.Context(), acct(t, "102681871"))
	sum := sha256.Sum256([]byte("payment"))
	for i := range 3 {
		for _, getBody := range []bool{true, false} {
			req := newRequest(t, http.MethodPost, pismo.URL()+"/v1/payments", strings.NewReader("payment"))
			if !getBody {
				req.GetBody = nil
			}
			wantStatus(t, send(t, rt, req.WithContext(ctx)), http.StatusCreated)
		}
		if carriedOut := executedPayments(pismo); carriedOut != 2*(i+1) {
			t.Errorf("%d payments were executed, want %d", carriedOut, 2*(i+1))
		}
		pismo.RevokeAll()
	}
	for _, d := range pismo.Deliveries() {
		if d.SHA256 != hex.EncodeToString(sum[:]) || d.Length != int64(len("payment")) || d.Account != "102681871" {
			t.Errorf("the server got %+v", d)
		}
	}
	if counts := pismo.Counts(); counts.Issued != 3 || counts.TotalRefused() != 2 {
		t.Errorf("%d tokens were issued, %d refused; want 3 and 2", counts.Issued, counts.TotalRefused())
	}
}

func executedPayments(pismo *passporttest.Server) int {
	n := 0
	for _, d := range pismo.Deliveries() {
		if d.Status == http.StatusCreated {
			n++
		}
	}
	return n
}

// Tokens of ten minutes serve an hour of requests. No token is refused, even if
// the platform's clock differs.
func TestRoundTrip_NoRefusalDueToExpiry(t *testing.T) {
	for _, skew := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			pismo := passporttest.NewInProcess(t, passporttest.Config{ClockSkew: skew, TokenLatency: 200 * time.Millisecond})
			rt := transportTo(t, pismo, pismo.RoundTripper())
			ctx := tokensource.ContextWithAccount(t.Context(), acct(t, "1"))
			for range 360 {
				r := send(t, rt, newRequest(t, http.MethodGet, pismo.URL()+"/v1/accounts/1", nil).WithContext(ctx))
				wantStatus(t, r, http.StatusOK)
				sleep(10 * time.Second)
			}
			if counts := pismo.Counts(); counts.TotalRefused() != 0 || counts.Issued < 6 || counts.Issued > 10 {
				t.Errorf("skew %v: %d tokens were issued, %d refused", skew, counts.Issued, counts.TotalRefused())
			}
		})
	}
}

// Each documented refusal is tested on the operation that documents it.
func TestReplay_FollowsDocumentedRefusals(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{
		Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }),
	})
	for _, c := range passporttest.DocumentedCases() {
		rt := transportTo(t, pismo, transport.NewBase()) // With its own budget.
		ctx := tokensource.ContextWithAccount(t.Context(), acct(t, "1"))
		before := pismo.Counts()
		pismo.Refuse(c.Refusal.OnPath(c.Method + " " + c.Path))
		r := send(t, rt, newRequest(t, c.Method, pismo.URL()+c.Path, strings.NewReader("payment")).WithContext(ctx))
		status, body, sent := http.StatusUnauthorized, c.Refusal.Body, 1
		if c.Refusal.Kind == passporttest.KindToken {
			status, body, sent = http.StatusAccepted, "", 2
		}
		after := pismo.Counts()
		if r.status != status || r.body != body {
			t.Errorf("%s %s: got status %d with %q, want %d with %q", c.Method, c.Refusal.Name, r.status, r.body, status, body)
		}
		if n := after.ResourceRequests - before.ResourceRequests; n != sent {
			t.Errorf("%s %s: %d requests arrived, want %d", c.Method, c.Refusal.Name, n, sent)
		}
		if n := after.Issued - before.Issued; n != sent {
			t.Errorf("%s %s: %d tokens were issued, want %d", c.Method, c.Refusal.Name, n, sent)
		}
	}
}
