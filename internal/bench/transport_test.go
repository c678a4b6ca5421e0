package bench

import (
	"net/http"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// newPismoauth returns our transport with its defaults, for one account as
// that of x/oauth2 is.
func newPismoauth(tb testing.TB, base http.RoundTripper) http.RoundTripper {
	tb.Helper()
	return newTransport(tb, transport.Config{
		Hosts:   []string{apiHost},
		Account: tokensource.Organization(),
		Base:    base,
	})
}

// sides are all who send requests.
var sides = []struct {
	name string
	over func(tb testing.TB, base http.RoundTripper) http.RoundTripper
}{
	{"pismoauth", newPismoauth},
	{"oauth2", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newOAuth2(base) }},
	{"retryablehttp", func(_ testing.TB, base http.RoundTripper) http.RoundTripper { return newRetrying(base) }},
}

// A request without a body, as most are.
func BenchmarkGet(b *testing.B) {
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			rt, req := side.over(b, &inProcess{}), newGet(b, "https://"+apiHost+"/v1/accounts/1")
			roundTrip(b, rt, req)
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, rt, req)
			}
		})
	}
}

// The same with the account in the context, as middleware puts it there. No
// peer has that.
func BenchmarkGetForContext(b *testing.B) {
	rt := newTransport(b, transport.Config{Hosts: []string{apiHost}, Base: &inProcess{}})
	req := newGet(b, "https://"+apiHost+"/v1/accounts/1")
	req = req.WithContext(tokensource.ContextWithAccount(req.Context(), account(b, 0)))
	roundTrip(b, rt, req)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, rt, req)
	}
}

// A body of 1 MiB that can be had again: nobody needs to copy it. Each request
// takes a new reader, as RoundTrip may use up the one it is given.
func BenchmarkPost(b *testing.B) {
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			rt, req := side.over(b, &inProcess{}), newPost(b, "https://"+apiHost+"/v1/payments", make([]byte, 1<<20))
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
