// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

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

// A side is a transport that is compared.
type side struct {
	name string
	over func(tb testing.TB, base http.RoundTripper) http.RoundTripper
}

var least = side{"least", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newLeast(base) }}

var sides = []side{
	{"pismoauth", newPismoauth},
	{"oauth2", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newOAuth2(base) }},
	{"retryablehttp", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newRetrying(base) }},
}

// A leastTransport does the least that a transport can do: it reads the clock,
// copies the request and its header, and sets Authorization. It renews no token
// and repeats nothing.
type leastTransport struct {
	base          http.RoundTripper
	authorization string
	expiry        time.Time
}

func newLeast(base http.RoundTripper) *leastTransport {
	return &leastTransport{base, "Bearer " + tokenValue(1), time.Now().Add(lifetime)}
}

var errExpired = errors.New("the token has expired")

func (l *leastTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !time.Now().Before(l.expiry) {
		return nil, errExpired
	}
	out := new(http.Request)
	*out = *req
	out.Header = make(http.Header, len(req.Header)+1)
	maps.Copy(out.Header, req.Header)
	out.Header["Authorization"] = []string{l.authorization}
	resp, err := l.base.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// A request without a body.
func BenchmarkGet(b *testing.B) {
	for _, side := range append(slices.Clip(sides), least) {
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
