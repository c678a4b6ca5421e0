// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A recordingListener records the bytes of its connections, as an attacker on
// the network path could.
type recordingListener struct {
	net.Listener

	mu       sync.Mutex
	recorded bytes.Buffer
}

func (w *recordingListener) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	return recordingConn{conn, w}, err
}

// hasRecorded reports whether the recorded bytes contain text in the clear.
func (w *recordingListener) hasRecorded(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.recorded.Bytes(), []byte(text))
}

type recordingConn struct {
	net.Conn

	listener *recordingListener
}

func (c recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.recorded.Write(p[:n])
	return n, err
}

// Caddy dials the upstream for every redirect.
func TestHealthCheck_RedirectKeepsToListedHosts(t *testing.T) {
	for name, test := range map[string]struct {
		location string
		arrives  bool
		host     string // empty for the upstream's host
	}{
		"to itself":          {"/next", true, ""},
		"to a listed host":   {"https://example.com/next", true, "example.com"},
		"to a port of it":    {"https://example.com:8443/next", true, "example.com:8443"},
		"to another host":    {"https://evil.example/next", false, ""},
		"to no TLS":          {"http://localhost/next", false, ""},
		"to no TLS of other": {"http://evil.example/next", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			tap := &recordingListener{Listener: listen(t, "tcp", "127.0.0.1:0")}
			checks := make(chan struct{}, 100)
			next := make(chan string, 100)
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/next" {
					if want := cmp.Or(test.host, tap.Addr().String()); test.arrives && r.Host != want {
						t.Errorf("the health check has the Host %s", r.Host)
					}
					select {
					case next <- r.Header.Get("Authorization"):
					case <-r.Context().Done():
					}
					return
				}
				http.Redirect(w, r, test.location, http.StatusFound)
				select {
				case checks <- struct{}{}:
				case <-r.Context().Done():
				}
			}))
			_ = upstream.Listener.Close()
			upstream.Listener = tap
			upstream.StartTLS()
			t.Cleanup(upstream.Close)
			replace(t, filepath.Join(s.secrets, "ca.pem"), &pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
			s.start(s.caddyfile("hosts example.com localhost", `pismo_proxy https://`+tap.Addr().String()+` {
				account `+alice+`
				health_account organization
				health_uri /v1/health
				health_interval 20ms
				health_follow_redirects
				transport pismo {
					tls_server_name example.com
					tls_trust_pool file $SECRETS/ca.pem
				}
			}`))
			if test.arrives {
				if receive(t, next) == "" {
					t.Error("the redirected health check has no token")
				}
				return
			}
			for range 3 { // Then the last but one check has ended.
				receive(t, checks)
			}
			for len(next) > 0 {
				if <-next != "" {
					t.Error("the redirected health check has a token")
				}
			}
			if tap.hasRecorded("Bearer") {
				t.Error("the token was sent in the clear")
			}
		})
	}
}

// receive returns the next value from a channel. If none arrives, it fails the
// test.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	select {
	case value := <-from:
		return value
	case <-patience.C:
		t.Fatal("nothing arrives from the channel")
		panic("not reached")
	}
}
