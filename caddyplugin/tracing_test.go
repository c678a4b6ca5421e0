// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A checksum in a trailer arrives after the body. By then, the tracing has
// copied the request.
func TestTracing_KeepsRequestTrailers(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	for _, scheme := range []string{"", "h2c://"} {
		for _, tracing := range []string{"", "tracing\n"} {
			for _, directive := range []string{"reverse_proxy", "pismo_proxy"} {
				t.Run(directive+" "+scheme+tracing, func(t *testing.T) {
					s := newFixture(t, passporttest.Config{})
					protocols := new(http.Protocols)
					protocols.SetHTTP1(true)
					protocols.SetUnencryptedHTTP2(true)
					listener := listen(t, "tcp", "127.0.0.1:0")
					server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						fmt.Fprintf(w, "[%s]", r.Trailer.Get("X-Sum"))
					})}
					go func() { _ = server.Serve(listener) }()
					t.Cleanup(func() { _ = server.Close() })
					account := ""
					if directive == "pismo_proxy" {
						account = "account " + alice
					}
					s.start(s.caddyfile("", tracing+directive+" "+scheme+listener.Addr().String()+" {\n"+account+"\n}"))
					conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n", s.addr)
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if err != nil || !strings.Contains(string(body), "[42]") {
						t.Errorf("the upstream got %q, error %v, want the trailer 42", body, err)
					}
				})
			}
		}
	}
}
