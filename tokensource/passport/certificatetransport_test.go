// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

func TestClientCertificate_RoundTripper(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			m := newMTLSServer(t, version)
			files := newPairOnDisk(t, 1)
			client := &http.Client{Transport: newClientCertificate(t, files).RoundTripper(m.base())}
			want := func(path, want string) {
				t.Helper()
				if got, err := m.get(t.Context(), client, path); got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
			want("/", "serial-1")
			want("/", "serial-1")

			// This request runs while the certificate changes.
			slow := make(chan string, 1)
			begun, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, m.URL+"/slow", nil)
			resp, err := client.Do(begun)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer func() { _ = resp.Body.Close() }()
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				slow <- string(body)
			}()
			before := m.conns.Load()
			rotate(t, files, 2)
			for range 3 {
				want("/", "serial-2")
			}
			made := m.conns.Load() - before
			if made < 1 || made > 2 { // With HTTP/2, net/http may dial twice at first.
				t.Errorf("%d new connections, want 1", made)
			}
			close(m.hold)
			if got := <-slow; got != "serial-1" {
				t.Errorf("the request in flight got %q", got)
			}
			m.awaitClosed(t, before) // Waits for the connections with the old certificate.
			want("/", "serial-2")
			if more := m.conns.Load() - before - made; more != 0 {
				t.Errorf("%d more connections were made, want 0", more)
			}

			client.CloseIdleConnections() // The RoundTripper forwards the call.
			m.awaitClosed(t, made)
		})
	}
}

// One RoundTripper serves token requests and resource calls.
func TestClientCertificate_Shared(t *testing.T) {
	m := newMTLSServer(t, "HTTP/2.0")
	files := newPairOnDisk(t, 1)
	rt := newClientCertificate(t, files).RoundTripper(m.base())
	s := issuer(m.URL)
	s.Client = &http.Client{Transport: rt}
	resources, err := transport.New(transport.Config{
		Source: newSource(t, s), Hosts: []string{strings.TrimPrefix(m.URL, "https://")},
		Account: tokensource.Organization(), Base: rt,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: resources}
	defer client.CloseIdleConnections()
	for _, want := range []string{"serial-1", "serial-2"} {
		if want == "serial-2" {
			rotate(t, files, 2)
		}
		if got, err := m.get(t.Context(), client, "/"); got != want {
			t.Errorf("a resource: got %q, %v, want %q", got, err, want)
		}
		grant, err := s.Issue(t.Context(), tokensource.Organization())
		if err != nil || grant.Token.Reveal() != want {
			t.Errorf("a token: got %q, %v, want %q", grant.Token.Reveal(), err, want)
		}
	}
}

// Requests and rotations run concurrently. No request is lost.
func TestClientCertificate_RotationUnderLoad(t *testing.T) {
	m := newMTLSServer(t, "HTTP/2.0")
	files := newPairOnDisk(t, 1)
	client := &http.Client{Transport: newClientCertificate(t, files).RoundTripper(m.base())}
	defer client.CloseIdleConnections()
	done := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, err := m.get(t.Context(), client, "/"); err != nil || !strings.HasPrefix(got, "serial-") {
					t.Errorf("got %q, error %v, want a serial", got, err)
				}
			}
		})
	}
	for serial := int64(2); serial <= 10; serial++ {
		rotate(t, files, serial)
		if _, err := m.get(t.Context(), client, "/"); err != nil {
			t.Error(err)
		}
	}
	close(done)
	load.Wait()
	if got, err := m.get(t.Context(), client, "/"); got != "serial-10" {
		t.Errorf("got %q, error %v, want serial-10", got, err)
	}
}

// A failed rotation changes nothing and closes no connections.
func TestClientCertificate_BotchedRotation(t *testing.T) {
	m := newMTLSServer(t, "HTTP/1.1")
	files := newPairOnDisk(t, 1)
	client := &http.Client{Transport: newClientCertificate(t, files).RoundTripper(m.base())}
	defer client.CloseIdleConnections()
	cert, _ := newPair(t, 2)
	for _, spoil := range []func(){
		func() {},
		func() { replace(t, files.certFile, cert) },
		func() { writeFile(t, files.keyFile, "") },
	} {
		spoil()
		if got, err := m.get(t.Context(), client, "/"); got != "serial-1" {
			t.Errorf("got %q, error %v, want serial-1", got, err)
		}
	}
	if n := m.conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestClientCertificate_RenewedForItsKey(t *testing.T) {
	files := newPairOnDisk(t, 1)
	c := newClientCertificate(t, files)
	key, err := os.ReadFile(files.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, files.certFile, renewed(t, key, 2))
	if got := presented(t, c); got != 2 {
		t.Errorf("certificate %d, want 2", got)
	}
}

// A program may rewrite the files without a change. The certificate then stays
// the same.
func TestClientCertificate_WrittenAgain(t *testing.T) {
	files := newPairOnDisk(t, 1)
	c := newClientCertificate(t, files)
	before, _ := c.GetClientCertificate(nil)
	for _, path := range []string{files.certFile, files.keyFile} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, path, content)
		if after, _ := c.GetClientCertificate(nil); after != before {
			t.Errorf("another certificate after %s was written again", path)
		}
	}
}

func TestClientCertificate_ZeroRoundTripper(t *testing.T) {
	m := newMTLSServer(t, "HTTP/2.0")
	var zero passport.ClientCertificate
	client := &http.Client{Transport: zero.RoundTripper(m.base())}
	if got, err := m.get(t.Context(), client, "/"); err == nil || !strings.Contains(err.Error(), "NewClientCertificate") {
		t.Errorf("got %q, error %v, want an error that names NewClientCertificate", got, err)
	}
	files := newPairOnDisk(t, 1)
	withDefaults := &http.Client{Transport: newClientCertificate(t, files).RoundTripper(nil)}
	if got, err := m.get(t.Context(), withDefaults, "/"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server with an unknown authority: got %q, error %v, want an error of the certificate", got, err)
	}
}

// The RoundTripper copies the base. It does not change the base and does not
// use it.
func TestClientCertificate_BaseIsCopied(t *testing.T) {
	m := newMTLSServer(t, "HTTP/1.1")
	base := m.base()
	rt := newClientCertificate(t, newPairOnDisk(t, 1)).RoundTripper(base)
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		t.Error("the base is used")
		return nil, io.EOF
	}
	client := &http.Client{Transport: rt}
	defer client.CloseIdleConnections()
	if got, err := m.get(t.Context(), client, "/"); got != "serial-1" {
		t.Errorf("got %q, error %v, want serial-1", got, err)
	}
	if base.TLSClientConfig.GetClientCertificate != nil {
		t.Error("the base was changed")
	}
}
