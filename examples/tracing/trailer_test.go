// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A trailerBody sets a trailer of its request at its end.
type trailerBody struct {
	io.Reader
	trailer http.Header
}

func (s trailerBody) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.trailer.Set("X-Sum", "42")
	}
	return n, err
}

// otelhttp clones a request before its body is read. The clone has another
// trailer map than the one that the body sets.
func TestAnnotateSpans_KeepsTrailers(t *testing.T) {
	fake := passporttest.NewServer(t, passporttest.Config{})
	source, err := tokensource.New(tokensource.Config{Issuer: fake.Issuer()})
	if err != nil {
		t.Fatal(err)
	}
	for version, major := range map[string]int{"HTTP/1.1": 1, "HTTP/2": 2} {
		t.Run(version, func(t *testing.T) {
			received := make(chan string, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				received <- r.Trailer.Get("X-Sum")
			}))
			server.EnableHTTP2 = major == 2
			server.StartTLS()
			defer server.Close()
			traced := otelhttp.NewTransport(telemetry.AnnotateSpans(server.Client().Transport),
				otelhttp.WithTracerProvider(sdktrace.NewTracerProvider()))
			authenticated, err := transport.New(transport.Config{
				Source:  source,
				Hosts:   []string{strings.TrimPrefix(server.URL, "https://")},
				Account: tokensource.Organization(),
				Base:    traced,
			})
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Sum": nil}
			req.Body = io.NopCloser(trailerBody{strings.NewReader("body"), req.Trailer})
			req.ContentLength = -1
			resp, err := (&http.Client{Transport: authenticated}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := <-received; got != "42" || resp.ProtoMajor != major || resp.Request.Context() != req.Context() {
				t.Errorf("the server got the trailer %q over %s", got, resp.Proto)
			}
		})
	}
}
