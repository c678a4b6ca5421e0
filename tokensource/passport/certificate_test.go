// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

func TestClientCertificate_RotatesAtHandshake(t *testing.T) {
	files := newPairOnDisk(t, 1)
	c := newClientCertificate(t, files)

	serials := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serials <- r.TLS.PeerCertificates[0].SerialNumber.String()
		answer(http.StatusCreated, `{"token":"t"}`)(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // The server logs clients without a certificate.
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)

	s := issuer(server.URL)
	s.Client = server.Client()
	if _, err := s.Issue(t.Context(), tokensource.Organization()); err == nil {
		t.Fatal("the server accepts clients without a certificate")
	}
	own := server.Client().Transport.(*http.Transport).Clone()
	own.TLSClientConfig.GetClientCertificate = c.GetClientCertificate
	own.DisableKeepAlives = true // A handshake for each request.
	s.Client = &http.Client{Transport: own}
	for serial := int64(1); serial <= 3; serial++ {
		if serial > 1 {
			cert, key := newPair(t, serial)
			replace(t, files.certFile, cert)
			replace(t, files.keyFile, key)
		}
		if _, err := s.Issue(t.Context(), tokensource.Organization()); err != nil {
			t.Fatalf("Issue: %v (%v)", err, cause(failure(t, err)))
		}
		if got := <-serials; got != fmt.Sprint(serial) {
			t.Errorf("presented certificate %s, want %d", got, serial)
		}
	}
}

// A resumed session presents the certificate of its first handshake.
func TestClientCertificate_RotatesForNewBase(t *testing.T) {
	files := newPairOnDisk(t, 1)
	serials := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		serials <- r.TLS.PeerCertificates[0].SerialNumber.String()
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)

	base := transport.NewBase()
	base.TLSClientConfig.RootCAs = x509.NewCertPool()
	base.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	base.TLSClientConfig.GetClientCertificate = newClientCertificate(t, files).GetClientCertificate
	client := &http.Client{Transport: base}
	for serial := int64(1); serial <= 2; serial++ {
		cert, key := newPair(t, serial)
		replace(t, files.certFile, cert)
		replace(t, files.keyFile, key)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // The session ticket comes with the body.
		_ = resp.Body.Close()
		if got := <-serials; got != fmt.Sprint(serial) {
			t.Errorf("presented certificate %s, want %d", got, serial)
		}
		base.CloseIdleConnections()
	}
}

func TestClientCertificate_KeepsLastGoodPair(t *testing.T) {
	files := newPairOnDisk(t, 1)
	c := newClientCertificate(t, files)
	cert, key := newPair(t, 2)
	for _, step := range []struct {
		name string
		do   func()
		want int64
	}{
		{"untouched", func() {}, 1},
		{"certificate replaced, key not yet", func() { replace(t, files.certFile, cert) }, 1},
		{"key half-written", func() { writeFile(t, files.keyFile, string(key[:len(key)/2])) }, 1},
		{"key empty", func() { writeFile(t, files.keyFile, "") }, 1},
		{"key missing", func() { _ = os.Remove(files.keyFile) }, 1},
		{"key complete", func() { replace(t, files.keyFile, key) }, 2},
		{"certificate missing", func() { _ = os.Remove(files.certFile) }, 2},
		{"certificate half-written", func() { writeFile(t, files.certFile, string(cert[:len(cert)/2])) }, 2},
		{"certificate complete", func() { replace(t, files.certFile, cert) }, 2},
	} {
		step.do()
		for range 2 {
			if got := presented(t, c); got != step.want {
				t.Errorf("%s: certificate %d, want %d", step.name, got, step.want)
			}
		}
	}
}

// Repaired files may have the same size and time as before.
func TestClientCertificate_NoticesSilentRepair(t *testing.T) {
	synctest.Test(t, silentRepairIsNoticed)
}

func silentRepairIsNoticed(t *testing.T) {
	files := newPairOnDisk(t, 1)
	c := newClientCertificate(t, files)
	cert, key := newPair(t, 2)
	garbage := strings.Repeat("x", len(key))
	at := time.Now().Add(-time.Minute)

	replace(t, files.certFile, cert)
	writeFile(t, files.keyFile, garbage)
	if err := os.Chtimes(files.keyFile, at, at); err != nil {
		t.Fatal(err)
	}
	if got := presented(t, c); got != 1 {
		t.Fatalf("certificate %d, want 1", got)
	}
	writeFile(t, files.keyFile, string(key)) // The file, its size and its time stay the same.
	if err := os.Chtimes(files.keyFile, at, at); err != nil {
		t.Fatal(err)
	}
	// Unreadable files are not read again for each request.
	if got := presented(t, c); got != 1 {
		t.Errorf("certificate %d, want 1 for a second", got)
	}
	time.Sleep(time.Second)
	if got := presented(t, c); got != 2 {
		t.Errorf("certificate %d, want 2", got)
	}
}

func TestClientCertificate_NoticesEveryChange(t *testing.T) {
	at := time.Now().Add(-time.Minute)
	for name, change := range map[string]func(t *testing.T, path string, content []byte){
		"written in place": func(t *testing.T, path string, content []byte) {
			t.Helper()
			writeFile(t, path, string(content)+"\n\n")
			_ = os.Chtimes(path, at, at) // Only the size differs.
		},
		"written in place, of the same size": func(t *testing.T, path string, content []byte) {
			t.Helper()
			writeFile(t, path, string(content))
			_ = os.Chtimes(path, at, at.Add(time.Second)) // Only the time differs.
		},
		"renamed over it, with size and time kept": func(t *testing.T, path string, content []byte) {
			t.Helper()
			replace(t, path, content)
			_ = os.Chtimes(path, at, at) // Only the file differs.
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := newPairOnDisk(t, 1)
			var cert, key []byte
			for { // The length of a signature varies by a byte or two.
				cert, key = newPair(t, 2)
				if info, err := os.Stat(files.certFile); err == nil && info.Size() == int64(len(cert)) {
					break
				}
			}
			for _, path := range []string{files.certFile, files.keyFile} {
				if err := os.Chtimes(path, at, at); err != nil {
					t.Fatal(err)
				}
			}
			c := newClientCertificate(t, files)
			change(t, files.certFile, cert)
			change(t, files.keyFile, key)
			if got := presented(t, c); got != 2 {
				t.Errorf("certificate %d, want 2", got)
			}
		})
	}
}

func TestClientCertificate_ReadsPairOnce(t *testing.T) {
	c := newClientCertificate(t, newPairOnDisk(t, 1))
	first, err := c.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := c.GetClientCertificate(nil); second != first {
		t.Error("the pair was read again")
	}
}

func TestClientCertificate_OneFileForBoth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.pem")
	cert, key := newPair(t, 1)
	replace(t, path, append(cert, key...))
	c := newClientCertificate(t, pairOnDisk{path, path})
	cert, key = newPair(t, 2)
	replace(t, path, append(key, cert...))
	if got := presented(t, c); got != 2 {
		t.Errorf("certificate %d, want 2", got)
	}
}

func TestNewClientCertificate_RefusesBadPair(t *testing.T) {
	files, other := newPairOnDisk(t, 1), newPairOnDisk(t, 2)
	missing := filepath.Join(t.TempDir(), "missing")
	for name, pair := range map[string]pairOnDisk{
		"not set":                     {},
		"certificate missing":         {missing, files.keyFile},
		"key missing":                 {files.certFile, missing},
		"of two pairs":                {files.certFile, other.keyFile},
		"key and certificate swapped": {files.keyFile, files.certFile},
		"certificate, no key":         {files.certFile, files.certFile},
		"a directory for a file":      {t.TempDir(), files.keyFile},
	} {
		c, err := passport.NewClientCertificate(pair.certFile, pair.keyFile)
		if c != nil || !errors.Is(err, tokensource.ErrMisconfigured) {
			t.Errorf("%s: got %v, error %v, want an error of kind misconfigured only", name, c, err)
			continue
		}
		if !strings.Contains(err.Error(), pair.certFile) || !strings.Contains(err.Error(), pair.keyFile) {
			t.Errorf("%s: error does not name the files: %v", name, err)
		}
	}
}

func TestClientCertificate_ZeroValueFails(t *testing.T) {
	var c passport.ClientCertificate
	if certificate, err := c.GetClientCertificate(nil); err == nil {
		t.Errorf("got the certificate %v, want an error", certificate)
	}
}

// A handshake must not combine a certificate with the key of another
// certificate.
func TestClientCertificate_ConcurrentHandshakes(t *testing.T) {
	files := newPairOnDisk(t, 1)
	c := newClientCertificate(t, files)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				certificate, err := c.GetClientCertificate(nil)
				if err != nil {
					t.Error(err)
					return
				}
				key := certificate.PrivateKey.(*ecdsa.PrivateKey)
				if !key.PublicKey.Equal(certificate.Leaf.PublicKey) {
					t.Error("a certificate has the key of another certificate")
				}
			}
		})
	}
	for serial := int64(2); serial <= 20; serial++ {
		cert, key := newPair(t, serial)
		replace(t, files.certFile, cert)
		replace(t, files.keyFile, key)
		if serial == 20 {
			break
		}
		presented(t, c)
	}
	cancel()
	wg.Wait()
	presented(t, c) // The last goroutine may have stored an older pair.
	if got := presented(t, c); got != 20 {
		t.Errorf("certificate %d, want 20", got)
	}
}
