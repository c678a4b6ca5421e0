// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// Layers around a transport wrap responses and replace their bodies.
var outerRoundTrippers = map[string]func(*http.Request, *http.Response) *http.Response{
	"none": func(_ *http.Request, resp *http.Response) *http.Response { return resp },
	"a wrapped body": func(_ *http.Request, resp *http.Response) *http.Response {
		resp.Body = struct{ io.ReadCloser }{resp.Body}
		return resp
	},
	"a replaced body": func(_ *http.Request, resp *http.Response) *http.Response {
		content, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(content))
		return resp
	},
	"a dump": func(_ *http.Request, resp *http.Response) *http.Response {
		_, _ = httputil.DumpResponse(resp, true)
		return resp
	},
	"a copy": func(_ *http.Request, resp *http.Response) *http.Response {
		c := *resp
		c.Header, c.Body = resp.Header.Clone(), http.NoBody
		return &c
	},
}

// roundTripThrough sends a request through an http.Client with a layer in
// between.
func roundTripThrough(t *testing.T, rt http.RoundTripper, layer func(*http.Request, *http.Response) *http.Response, req *http.Request) *http.Response {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		out := req.Clone(req.Context())
		resp, err := rt.RoundTrip(out)
		if err != nil {
			return nil, err
		}
		return layer(out, resp), nil
	})}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// The verdict was once stored in the body. The Timeout of an http.Client, as in
// the README, hid it.
func TestVerdictOf_SurvivesWrappers(t *testing.T) {
	for name, layer := range outerRoundTrippers {
		for body, want := range map[string]transport.Verdict{
			"":                    transport.TokenRefused,
			business:              transport.RequestRefused,
			`{"code":"WCAC0001"}`: transport.AccountRefused,
			`{"code":"unknown"}`:  transport.Unrecognized,
		} {
			rt := newTransport(t, &fakeIssuer{}, answers401(body))
			req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
			req.Header.Set("X-Field", "kept")
			resp := roundTripThrough(t, rt, layer, req)
			if verdict, ok := transport.VerdictOf(resp); verdict != want || !ok {
				t.Errorf("%s: the verdict is %q, want %q", name, verdict, want)
			}
			out := resp.Request
			if out.Method != req.Method || out.URL.String() != target || out.Header.Get("X-Field") != "kept" || out.Header.Get("Authorization") != "" {
				t.Errorf("%s: the response's Request is %s %s with %q", name, out.Method, out.URL, out.Header)
			}
		}
	}
}

// A layer may make its own response, like a cache or a recorder. Then the
// RetryGroup has the verdict.
func TestVerdictOf_SurvivesAnotherResponse(t *testing.T) {
	rt := newTransport(t, &fakeIssuer{}, answers401(""))
	remake := func(req *http.Request, resp *http.Response) *http.Response {
		dump, err := httputil.DumpResponse(resp, true)
		if err != nil {
			t.Fatal(err)
		}
		again, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(dump)), req)
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
	req = req.WithContext(transport.ContextWithRetryGroup(req.Context(), new(transport.RetryGroup)))
	resp := roundTripThrough(t, rt, remake, req)
	if verdict, ok := transport.VerdictOf(resp); verdict != transport.TokenRefused || !ok {
		t.Errorf("the verdict is %q, want %q", verdict, transport.TokenRefused)
	}
}

// A verdict belongs to a 401. A later response in the same context has no
// verdict.
func TestVerdictOf_EmptyForOtherResponses(t *testing.T) {
	w := &fakeBase{}
	rt := newTransport(t, &fakeIssuer{}, w)
	w.answer = always(http.StatusUnauthorized, business)
	ctx := transport.ContextWithRetryGroup(t.Context(), new(transport.RetryGroup))
	resp, err := rt.RoundTrip(newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	w.answer = nil
	again, err := rt.RoundTrip(resp.Request) // As a program that sends the request again.
	if err != nil {
		t.Fatal(err)
	}
	for name, resp := range map[string]*http.Response{
		"a 200":                     again,
		"no response":               nil,
		"a 401 of another client":   respond(http.StatusUnauthorized, ""),
		"a 401 to another request":  {StatusCode: http.StatusUnauthorized, Request: newRequest(t, http.MethodGet, target, nil)},
		"a 401 of a group, unasked": {StatusCode: http.StatusUnauthorized, Request: newRequest(t, http.MethodGet, target, nil).WithContext(transport.ContextWithRetryGroup(t.Context(), new(transport.RetryGroup)))},
	} {
		if verdict, ok := transport.VerdictOf(resp); ok || verdict != "" {
			t.Errorf("%s has the verdict %q", name, verdict)
		}
	}
}

// A proxy that passes a stream on gets the 401 of its own token at once. It
// must be able to distinguish that 401 from a refusal of its client.
func TestVerdictOf_ReportsUnreplayedRefusals(t *testing.T) {
	rt := newTransport(t, &fakeIssuer{}, answers401(""))
	req := newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment")))
	if r := send(t, rt, req); r.verdict != transport.TokenRefused {
		t.Errorf("the verdict is %q, want %q", r.verdict, transport.TokenRefused)
	}
}
