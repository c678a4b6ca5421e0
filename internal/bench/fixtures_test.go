// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

const (
	// tokenSize is the size of all tokens in bytes. Pismo's JWTs have 300 to
	// 900 bytes.
	tokenSize = 400
	// lifetime is longer than every benchmark, so that tokens stay fresh.
	lifetime = time.Hour
	apiHost  = "sandbox.pismolabs.io"
)

// tokenValue returns the value of the token with this number.
func tokenValue(number uint64) string {
	digits := strconv.FormatUint(number, 10)
	return padding[len(digits):] + digits
}

var padding = strings.Repeat("0", tokenSize)

// An issuer issues after its latency, without a network.
type issuer struct {
	lifetime, latency time.Duration
	issued            atomic.Uint64
}

func (i *issuer) Issue(ctx context.Context, _ tokensource.Account) (tokensource.Grant, error) {
	if i.latency > 0 {
		select {
		case <-time.After(i.latency):
		case <-ctx.Done():
			return tokensource.Grant{}, ctx.Err()
		}
	}
	value := tokensource.NewSecret(tokenValue(i.issued.Add(1)))
	return tokensource.Grant{Token: value, ExpiresIn: i.lifetime}, nil
}

// newPassport returns the issuer of package passport for a fake server.
func newPassport(pismo *passporttest.Server) *passport.S2S {
	return &passport.S2S{
		BaseURL:     pismo.URL(),
		Credentials: passport.StaticCredentials(pismo.ServerKey(), pismo.ServerSecret()),
	}
}

func newSource(tb testing.TB, config tokensource.Config) *tokensource.Source {
	tb.Helper()
	if config.Issuer == nil {
		config.Issuer = &issuer{lifetime: lifetime}
	}
	src, err := tokensource.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

func newTransport(tb testing.TB, config transport.Config) *transport.Transport {
	tb.Helper()
	if config.Source == nil {
		config.Source = newSource(tb, tokensource.Config{})
	}
	t, err := transport.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// accountID returns the id of the i-th account. It is as long as Pismo's ids.
func accountID(i int) int64 { return 100_000_000 + int64(i)*7919%900_000_000 }

func account(tb testing.TB, i int) tokensource.Account {
	tb.Helper()
	a, err := tokensource.ParseAccountID(strconv.FormatInt(accountID(i), 10))
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// fillSource gets a token of src for each of the first n accounts, and returns
// the accounts.
func fillSource(tb testing.TB, src *tokensource.Source, n int) []tokensource.Account {
	tb.Helper()
	accounts := make([]tokensource.Account, n)
	for i := range accounts {
		accounts[i] = account(tb, i)
		if _, err := src.Token(tb.Context(), accounts[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return accounts
}

// drawIndices returns random indices below n, the same for all sides. They are
// drawn in advance, so that a benchmark only reads them. Their number is a
// power of two.
func drawIndices(n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	d := make([]uint32, 1<<16)
	for i := range d {
		d[i] = r.Uint32N(uint32(n))
	}
	return d
}

// An inProcessBase answers 200 at once. It reads and closes the request's body
// and allocates nothing, so that a benchmark measures the transport alone. It
// must not be used concurrently.
type inProcessBase struct {
	resp http.Response
	last *http.Request // the last request
}

func (b *inProcessBase) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
	}
	b.last = req
	b.resp = http.Response{
		StatusCode: http.StatusOK,
		ProtoMajor: 1,
		ProtoMinor: 1,
		Body:       http.NoBody,
		Request:    req,
	}
	return &b.resp, nil
}

// newGet returns a GET with eight fields, as a service behind a gateway sends
// it.
func newGet(tb testing.TB, url string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for name, value := range map[string]string{
		"Accept":          "application/json",
		"Accept-Encoding": "gzip",
		"Accept-Language": "pt-BR",
		"Traceparent":     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"User-Agent":      "crm/4.2",
		"X-Cid":           "3f0b6a52-6d0e-4a3b-8a0e-3d6f1b1f5b0e",
		"X-Forwarded-For": "10.1.2.3",
		"X-Request-Id":    "9a0364b9e99bb480dd25e1f0284c8555",
	} {
		req.Header.Set(name, value)
	}
	return req
}

// newPost returns a POST with a body that GetBody can repeat.
func newPost(tb testing.TB, url string, body []byte) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}
