// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A client must not choose the target of a request with the platform's token,
// with and without pismo_auth in front of the transport.
func TestTarget_IsNotTheClients(t *testing.T) {
	for name, site := range map[string]string{
		"pismo_proxy":     "pismo_proxy $PISMO {\n account " + alice + "\n}",
		"transport pismo": "reverse_proxy $PISMO {\n transport pismo {\n account " + alice + "\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Host+" "+r.RequestURI)
			})})
			s.start(s.caddyfile("", site))
			for _, target := range []string{
				"x:https://evil.example/admin", "/v1/statements/../payments", "/v1/%2e%2e/payments",
				"/v1/..%2fpayments", `/v1/..\payments`, "/v1/.%2e/payments", "/v1/%252e%252e/payments", "/v1/x/..;a/payments",
			} {
				if status := s.sendRaw("OPTIONS " + target + " HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\n\r\n"); status != http.StatusBadRequest {
					t.Errorf("%s: got status %d, want 400", target, status)
				}
			}
			if n := s.pismo.Counts().Accepted; n != 0 {
				t.Errorf("the platform got %d requests, want 0", n)
			}
			wantStatus(t, s.get(alice), http.StatusOK)
		})
	}
}

// sendRaw sends the unchanged text of a request. It returns the status.
func (s *fixture) sendRaw(request string) int {
	s.t.Helper()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprint(conn, request); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
