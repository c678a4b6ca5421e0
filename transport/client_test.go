// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

func TestRoundTrip_EndsWithClientTimeout(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	client := &http.Client{Transport: newTransport(t, m, transport.NewBase(), listing(server)), Timeout: 20 * time.Millisecond}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		resp, err := client.Do(newRequest(t, method, server.URL, nil))
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) && !os.IsTimeout(err) {
			t.Errorf("%s: got error %v, want a timeout", method, err)
		}
	}
}

// newTLSServer starts a TLS server. It returns a base that trusts the server.
func newTLSServer(t *testing.T, http2 bool, handler http.HandlerFunc) (*httptest.Server, *http.Transport) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	base := transport.NewBase()
	base.TLSClientConfig.RootCAs = x509.NewCertPool()
	base.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	return server, base
}

// A trailer can be set while the body is read.
func TestRoundTrip_SendsLateTrailers(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
	}))
	req := newRequest(t, http.MethodPost, server.URL, nil)
	req.Trailer = http.Header{"X-Sum": nil}
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("payment"), readerFunc(func([]byte) (int, error) {
		req.Trailer.Set("X-Sum", "sum")
		return 0, io.EOF
	})))
	if r := send(t, newTransport(t, m, transport.NewBase(), listing(server)), req); r.body != "sum" {
		t.Errorf("the server got the trailer %q", r.body)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestReplay_WorksOverHTTP2(t *testing.T) {
	m := &fakeIssuer{}
	var mu sync.Mutex
	var arrived []string
	server, base := newTLSServer(t, true, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		arrived = append(arrived, r.Proto+" "+string(body))
		mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		m.guard(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })(w, r)
	})
	rt := newTransport(t, m, base, listing(server))
	get(t, rt, server.URL)
	m.revoke()
	for _, body := range []io.Reader{strings.NewReader("payment"), withoutGetBody(strings.NewReader("payment"))} {
		arrived = nil
		req := newRequest(t, http.MethodPost, server.URL, body)
		req.ContentLength = int64(len("payment"))
		r := send(t, rt, req)
		if r.status != http.StatusOK || r.body != "payment" {
			t.Errorf("got %+v, want 200 and the payment", r)
		}
		if got, want := strings.Join(arrived, ", "), "HTTP/2.0 payment, HTTP/2.0 payment"; got != want {
			t.Errorf("the server got %q, want %q", got, want)
		}
		m.revoke()
	}
}

// The base may still be reading the first body when it returns the 401.
func TestReplay_AfterEarly401OverHTTP2(t *testing.T) {
	const size = 4 << 20
	m := &fakeIssuer{}
	server, base := newTLSServer(t, true, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := m.account(r.Header); !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return // The body has not arrived yet.
		}
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Errorf("%d bytes arrived, with error %v", n, err)
		}
	})
	rt := newTransport(t, m, base, listing(server))
	for range 3 {
		m.revoke()
		req := newRequest(t, http.MethodPost, server.URL, bytes.NewReader(bytes.Repeat([]byte("x"), size)))
		wantStatus(t, send(t, rt, req), http.StatusOK)
	}
}

func TestRetry_NotForCertificateErrors(t *testing.T) {
	m := &fakeIssuer{}
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	retries := 0
	rt := newTransport(t, m, nil, listing(server), func(c *transport.Config) {
		c.Hooks.Retry = func(context.Context, transport.RetryInfo) { retries++ }
	})
	_, err := trySend(rt, newRequest(t, http.MethodGet, server.URL, nil))
	var authority x509.UnknownAuthorityError
	if !errors.As(err, &authority) || retries > 0 {
		t.Errorf("got error %v after %d retries, want one of the certificate at once", err, retries)
	}
}
