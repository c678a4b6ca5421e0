// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"net/http"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// newPismoauth returns a Transport with its defaults, for one account as the
// transport of x/oauth2.
func newPismoauth(tb testing.TB, base http.RoundTripper) http.RoundTripper {
	tb.Helper()
	return newTransport(tb, transport.Config{
		Hosts:   []string{apiHost},
		Account: tokensource.Organization(),
		Base:    base,
	})
}

// sides are the transports that are compared.
var sides = []struct {
	name string
	over func(tb testing.TB, base http.RoundTripper) http.RoundTripper
}{
	{"pismoauth", newPismoauth},
	{"oauth2", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newOAuth2(base) }},
	{"retryablehttp", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newRetrying(base) }},
}

// A request without a body.
func BenchmarkGet(b *testing.B) {
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			rt, req := side.over(b, &inProcessBase{}), newGet(b, "https://"+apiHost+"/v1/accounts/1")
			roundTrip(b, rt, req)
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, rt, req)
			}
		})
	}
}

// A request with the account in its context, as with package middleware. No
// peer supports that.
func BenchmarkGetForContext(b *testing.B) {
	rt := newTransport(b, transport.Config{Hosts: []string{apiHost}, Base: &inProcessBase{}})
	req := newGet(b, "https://"+apiHost+"/v1/accounts/1")
	req = req.WithContext(tokensource.ContextWithAccount(req.Context(), account(b, 0)))
	roundTrip(b, rt, req)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, rt, req)
	}
}

// A body of 1 MiB with GetBody, so that no side has to copy it. Each request
// gets a new reader, because RoundTrip reads the body.
func BenchmarkPost(b *testing.B) {
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			rt, req := side.over(b, &inProcessBase{}), newPost(b, "https://"+apiHost+"/v1/payments", make([]byte, 1<<20))
			getBody := req.GetBody
			roundTrip(b, rt, req)
			b.ReportAllocs()
			for b.Loop() {
				req.Body, _ = getBody() // It never fails.
				roundTrip(b, rt, req)
			}
		})
	}
}

func roundTrip(tb testing.TB, rt http.RoundTripper, req *http.Request) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		tb.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("answered %d", resp.StatusCode)
	}
}
