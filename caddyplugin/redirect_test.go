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

// A wiretap keeps what connections carry, as anybody on the way could.
type wiretap struct {
	net.Listener

	mu    sync.Mutex
	heard bytes.Buffer
}

func (w *wiretap) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	return tapped{conn, w}, err
}

// hears reports whether something was carried in the clear.
func (w *wiretap) hears(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.heard.Bytes(), []byte(text))
}

type tapped struct {
	net.Conn

	tap *wiretap
}

func (c tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.heard.Write(p[:n])
	return n, err
}

// Caddy dials the upstream still, whatever it is redirected to.
func TestAHealthCheckThatIsRedirectedTakesTheTokenToListedHostsOnly(t *testing.T) {
	for name, test := range map[string]struct {
		location string
		arrives  bool
		host     string // or nothing, for the upstream's
	}{
		"to itself":          {"/next", true, ""},
		"to a listed host":   {"https://example.com/next", true, "example.com"},
		"to a port of it":    {"https://example.com:8443/next", true, "example.com:8443"},
		"to another host":    {"https://evil.example/next", false, ""},
		"to no TLS":          {"http://localhost/next", false, ""},
		"to no TLS of other": {"http://evil.example/next", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, passporttest.Config{})
			tap := &wiretap{Listener: listen(t, "tcp", "127.0.0.1:0")}
			checks := make(chan struct{}, 100)
			next := make(chan string, 100)
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/next" {
					if want := cmp.Or(test.host, tap.Addr().String()); test.arrives && r.Host != want {
						t.Errorf("the Host is %s", r.Host)
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
				if within(t, next) == "" {
					t.Error("it is without a token")
				}
				return
			}
			for range 3 { // The check before the last is over.
				within(t, checks)
			}
			for len(next) > 0 {
				if <-next != "" {
					t.Error("it has a token")
				}
			}
			if tap.hears("Bearer") {
				t.Error("the token was sent in the clear")
			}
		})
	}
}

// within returns what comes from a channel, and fails the test if nothing does.
func within[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	select {
	case value := <-from:
		return value
	case <-patience.C:
		t.Fatal("nothing happens")
		panic("not reached")
	}
}
