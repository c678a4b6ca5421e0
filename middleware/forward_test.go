// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestNewProxy_FlushesResponse(t *testing.T) {
	for _, contentType := range []string{"text/event-stream", "application/x-ndjson"} {
		t.Run(contentType, func(t *testing.T) {
			next := make(chan struct{})
			p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", contentType)
				for i := range 3 {
					fmt.Fprintf(w, "data: %d\n", i)
					_ = http.NewResponseController(w).Flush()
					select {
					case <-next: // The client read the chunk.
					case <-r.Context().Done():
						return
					}
				}
			})
			s := serve(t, p.proxy(t))
			resp, err := s.Client().Do(s.request(t, http.MethodGet, "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			for i := range 3 {
				if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
					t.Fatalf("line %d: got %q, error %v, want its number", i, lines.Text(), lines.Err())
				}
				next <- struct{}{}
			}
		})
	}
}

func TestNewProxy_StreamsUpload(t *testing.T) {
	arrived := make(chan string)
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				arrived <- string(buffer[:n])
			}
			if err != nil {
				check(t, "the end", err, io.EOF)
				w.WriteHeader(http.StatusCreated)
				return
			}
		}
	})
	s := serve(t, p.proxy(t))
	body, upload := io.Pipe()
	req := s.request(t, http.MethodPost, "/", body)
	answered := make(chan reply)
	go func() {
		r, err := s.try(req)
		check(t, "error", err, nil)
		answered <- r
	}()
	for _, part := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(upload, part); err != nil {
			t.Fatal(err)
		}
		check(t, "part", await(t, arrived), part)
	}
	_ = upload.Close()
	check(t, "status", await(t, answered).status, http.StatusCreated)
}

// A client must not forge the addresses that the platform sees.
func TestNewProxy_DropsForwardedFields(t *testing.T) {
	seen := make(chan http.Header, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	s := serve(t, p.proxy(t))
	for name, connection := range map[string]string{
		"plainly":                "keep-alive",
		"named as hop-by-hop":    "X-Forwarded-For, X-Forwarded-Host, x-forwarded-proto, Authorization, X-Kept",
		"with authorization too": "close, Authorization",
	} {
		t.Run(name, func(t *testing.T) {
			r := s.get(t, "/",
				"Connection", connection,
				"Authorization", "Bearer theirs",
				"Proxy-Authorization", "Basic theirs",
				"Forwarded", "for=6.6.6.6;host=evil.example;proto=https",
				"X-Forwarded-For", "6.6.6.6",
				"X-Forwarded-For", "7.7.7.7",
				"X-Forwarded-Host", "evil.example",
				"X-Forwarded-Proto", "https",
				"X-Account-Id", "stays", // The field is for the platform.
				"X-Cid", "stays",
				"Idempotency-Key", "stays",
			)
			if r.status != http.StatusOK {
				t.Fatalf("got status %d, want 200", r.status)
			}
			h := await(t, seen)
			for name, want := range map[string]string{
				"X-Forwarded-For":     "127.0.0.1",
				"X-Forwarded-Host":    s.Listener.Addr().String(),
				"X-Forwarded-Proto":   "http",
				"Forwarded":           "",
				"Proxy-Authorization": "",
				"X-Account-Id":        "stays",
				"X-Cid":               "stays",
				"Idempotency-Key":     "stays",
			} {
				check(t, name, strings.Join(h[http.CanonicalHeaderKey(name)], ", "), want)
			}
			check(t, "Authorization", len(h["Authorization"]), 1)
			check(t, "the header has forged addresses", strings.Contains(fmt.Sprint(h), "theirs"), false)
		})
	}
	for reason, n := range p.Counts().Refused {
		t.Errorf("%d requests were refused: %s", n, reason)
	}
}

// The request line must not send a token to another host.
func TestNewProxy_RequestLineKeepsTarget(t *testing.T) {
	elsewhere := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request reached another host, with %v", r.Header["Authorization"])
	}))
	evil := elsewhere.Listener.Addr().String()
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Host", r.Host) })
	s := serve(t, p.proxy(t))
	for _, line := range []string{
		"GET http://" + evil + "/ HTTP/1.1\r\nHost: " + evil,
		"GET http://user:password@" + evil + "/ HTTP/1.1\r\nHost: " + evil,
		"GET //" + evil + "/ HTTP/1.1\r\nHost: " + evil,
		"GET /\\" + evil + "/ HTTP/1.1\r\nHost: " + evil,
		"GET /@" + evil + "/ HTTP/1.1\r\nHost: " + evil,
		"GET /?@" + evil + " HTTP/1.1\r\nHost: " + evil,
		"OPTIONS * HTTP/1.1\r\nHost: " + evil,
	} {
		t.Run(line, func(t *testing.T) {
			_, in := s.dial(t, line+"\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			// net/http answers "OPTIONS *" itself.
			check(t, "Host", resp.Header.Get("X-Host") == p.Host(), !strings.HasPrefix(line, "OPTIONS"))
		})
	}
}

func TestRewrite_SendsNoTokenElsewhere(t *testing.T) {
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request reached another host") }))
	p := newPlatform(t, passporttest.Config{})
	for name, rewrite := range map[string]func(*httputil.ProxyRequest){
		"to another host":         func(r *httputil.ProxyRequest) { r.SetURL(parseURL(t, elsewhere.URL)) },
		"to a host without TLS":   func(r *httputil.ProxyRequest) { r.SetURL(parseURL(t, "http://sandbox.pismolabs.io")) },
		"with its own token":      func(r *httputil.ProxyRequest) { r.Out.Header.Set("Authorization", "Bearer theirs") },
		"with the client's token": func(r *httputil.ProxyRequest) { r.Out.Header["authorization"] = []string{"Bearer theirs"} },
		"without an account": func(r *httputil.ProxyRequest) {
			r.Out = r.Out.WithContext(tokensource.ContextWithAccount(r.Out.Context(), tokensource.Account{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Rewrite = rewrite }))
			wantProblem(t, s.post(t, "/", "payment"), http.StatusInternalServerError, "misconfigured")
		})
	}
	check(t, "requests to the platform", p.Counts().ResourceRequests, 0)
}

func TestRewrite_SeesPreparedRequest(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) {
		c.Target.Path = "/v1"
		c.Rewrite = func(r *httputil.ProxyRequest) {
			check(t, "URL", r.Out.URL.String(), p.URL()+"/v1/accounts/"+alice+"?a=b")
			check(t, "X-Forwarded-For", r.Out.Header.Get("X-Forwarded-For"), "127.0.0.1")
			check(t, "Authorization in", len(r.In.Header["Authorization"]), 0)
			check(t, "Authorization out", len(r.Out.Header["Authorization"]), 0)
		}
	}))
	check(t, "status", s.get(t, "/accounts/"+alice+"?a=b", "Authorization", "Bearer theirs").status, http.StatusOK)
}

// The answer to a TRACE repeats the outbound request with the proxy's token
// (RFC 9110, section 9.3.8).
func TestNewProxy_RefusesTraceAndConnect(t *testing.T) {
	p := platformServing(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was passed on") })
	s := serve(t, p.proxy(t))
	for _, line := range []string{"TRACE / HTTP/1.1\r\nHost: proxy", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443"} {
		_, in := s.dial(t, line+"\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		check(t, "error", err, nil)
		wantProblem(t, reply{status: resp.StatusCode, header: resp.Header, body: string(body)}, http.StatusNotImplemented, "method-not-proxied")
	}
	check(t, "token requests", p.Counts().TokenRequests, 0)
}
