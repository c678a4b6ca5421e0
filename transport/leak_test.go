// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// sentinels are texts that must not appear: the prefix of the issuer's tokens,
// an account's id, and the text of an issuer's error.
var sentinels = []string{"sentinel-token", "102681871", "sentinel-secret"}

// A printRecorder records values in every form in which they can be printed.
type printRecorder struct{ strings.Builder }

func (d *printRecorder) add(values ...any) {
	for _, v := range values {
		fmt.Fprintf(d, "%v\n%+v\n%#v\n%s\n%q\n", v, v, v, v, v)
		if text, err := json.Marshal(v); err == nil {
			d.Write(text)
		}
		if err, ok := v.(error); ok {
			d.WriteString(err.Error())
		}
	}
}

// The values that hooks and Classify get, errors and responses must show no
// sentinel.
func TestTransport_ShowsNoTokenOrAccount(t *testing.T) {
	account := acct(t, sentinels[1])
	failure := errors.New("error of the base")
	for _, test := range []struct {
		name   string
		answer func(*fakeIssuer, sentRequest) (*http.Response, error)
		edit   func(*http.Request)
		down   bool
	}{
		{name: "answered"},
		{name: "failed", answer: func(*fakeIssuer, sentRequest) (*http.Response, error) { return nil, failure }},
		{name: "refused", answer: func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, ""), nil
		}},
		{name: "unrecognized", answer: func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, "{}"), nil
		}},
		{name: "replayed", answer: func(m *fakeIssuer, s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				m.revoke()
			}
			return m.answer(s)
		}},
		{name: "unavailable", answer: func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusServiceUnavailable, ""), nil
		}},
		{name: "unlisted", edit: func(r *http.Request) { r.URL.Host = "sentinel-secret.example" }},
		{name: "plaintext", edit: func(r *http.Request) { r.URL.Scheme = "http" }},
		{name: "own Authorization", edit: func(r *http.Request) { r.Header.Set("Authorization", "sentinel-secret") }},
		{name: "conflict", edit: func(r *http.Request) {
			*r = *r.WithContext(tokensource.ContextWithAccount(r.Context(), acct(t, "1")))
		}},
		{name: "no token", down: true},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var told printRecorder
					m := &fakeIssuer{}
					m.before = func(context.Context) error {
						if test.down {
							return errors.New("sentinel-secret")
						}
						return nil
					}
					w := &fakeBase{}
					if test.answer != nil {
						w.answer = func(s sentRequest) (*http.Response, error) { return test.answer(m, s) }
					}
					rt := newTransport(t, m, w, func(c *transport.Config) {
						c.Account = account
						c.Classify = func(r *transport.Refusal) transport.Verdict {
							told.add(r, *r)
							return r.Verdict
						}
						c.Hooks = transport.Hooks{
							Refused: func(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
								told.add(info, &info, ctx)
								return ctx, func(r transport.RefusedResult) { told.add(r, &r, r.Err) }
							},
							Retry: func(ctx context.Context, info transport.RetryInfo) { told.add(info, &info, info.Err, ctx) },
						}
					})
					req := newRequest(t, method, target, strings.NewReader("payment"))
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("payment")), nil }
					if test.edit != nil {
						test.edit(req)
					}
					resp, err := rt.RoundTrip(req)
					told.add(err)
					if resp != nil {
						req.Body, _ = req.GetBody()
						dump, err := httputil.DumpRequestOut(resp.Request, true)
						told.add(string(dump), err, resp.Header, resp.Trailer, resp.Body)
						dump, err = httputil.DumpResponse(resp, true)
						told.add(string(dump), err)
						_ = resp.Body.Close()
					}
					fmt.Fprintf(&told, "%v %+v %#v", *rt, *rt, *rt)
					synctest.Wait()
					for _, sentinel := range sentinels {
						if at := strings.Index(told.String(), sentinel); at >= 0 {
							t.Errorf("%q shows: …%.200s", sentinel, told.String()[max(0, at-100):])
						}
					}
				})
			})
		}
	}
}
