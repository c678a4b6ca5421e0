// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/transport"
)

// newProxy starts a reverse proxy to a server. The proxy uses a Transport.
func newProxy(t *testing.T, m *fakeIssuer, server *httptest.Server) *httptest.Server {
	t.Helper()
	upstream, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Header.Del("Authorization")
		},
		Transport:     newTransport(t, m, transport.NewBase(), listing(server)),
		FlushInterval: -1,
	}
	return newServer(t, func(w http.ResponseWriter, r *http.Request) {
		// Without this call, net/http reads the whole request before it answers.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		proxy.ServeHTTP(w, r)
	})
}

func do(t *testing.T, client *http.Client, req *http.Request) *http.Response {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestProxy_ReplaysClientBody(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	proxy := newProxy(t, m, server)
	for _, encoding := range []string{"identity", "gzip"} {
		req := newRequest(t, http.MethodPost, proxy.URL+"/pay?x=1", strings.NewReader("payment"))
		req.Header.Set("Authorization", "Bearer of the client's own")
		req.Header.Set("Accept-Encoding", encoding)
		resp := do(t, proxy.Client(), req)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != "payment" {
			t.Errorf("got status %d with %q, error %v", resp.StatusCode, body, err)
		}
		m.revoke()
	}
	wantIssued(t, m, 2)
}

// The client's Accept-Encoding reaches the platform. net/http decodes only an
// encoding that it requested itself.
func TestProxy_ReadsGzipped401(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", r.Header.Get("Accept-Encoding"))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, gzipText(t, `{"code":"EUPI0120"}`))
	})
	proxy := newProxy(t, m, server)
	req := newRequest(t, http.MethodPost, proxy.URL, strings.NewReader("payment"))
	req.Header.Set("Accept-Encoding", "gzip")
	resp := do(t, proxy.Client(), req)
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || string(body) != gzipText(t, `{"code":"EUPI0120"}`) {
		t.Errorf("got status %d with %q, error %v", resp.StatusCode, body, err)
	}
	wantIssued(t, m, 1)
}

func TestProxy_PassesRedirect(t *testing.T) {
	m := &fakeIssuer{}
	var asked atomic.Int32
	server := newServer(t, m.guard(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	proxy := newProxy(t, m, server)
	client := proxy.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp := do(t, client, newRequest(t, http.MethodPost, proxy.URL, strings.NewReader("payment")))
	if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != "/elsewhere" || asked.Load() != 1 {
		t.Errorf("got status %d after %d requests, want the redirect", resp.StatusCode, asked.Load())
	}
}

func TestProxy_StreamsBothWays(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		line := bufio.NewReader(r.Body)
		for { // The server echoes the body while it receives more.
			text, err := line.ReadString('\n')
			if err != nil {
				break
			}
			_, _ = io.WriteString(w, "echo "+text)
			_ = control.Flush()
		}
		w.Header().Set("X-Sum", "sum")
	}))
	proxy := newProxy(t, m, server)
	body, out := io.Pipe()
	req := newRequest(t, http.MethodPost, proxy.URL, body)
	resp := do(t, proxy.Client(), req)
	in := bufio.NewReader(resp.Body)
	for i := range 3 {
		if _, err := fmt.Fprintf(out, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
		if text, err := in.ReadString('\n'); err != nil || text != fmt.Sprintf("echo line %d\n", i) {
			t.Fatalf("got %q, error %v, want the echo of line %d", text, err, i)
		}
	}
	_ = out.Close()
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("got %q, error %v, want the end", rest, err)
	}
	if got := resp.Trailer.Get("X-Sum"); got != "sum" {
		t.Errorf("the trailer is %q", got)
	}
}

func TestProxy_PassesEarlyHints(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	}))
	proxy := newProxy(t, m, server)
	var hints atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints {
				hints.Add(1)
			}
			return nil
		},
	})
	resp := do(t, proxy.Client(), newRequest(t, http.MethodGet, proxy.URL, nil).WithContext(ctx))
	if resp.StatusCode != http.StatusOK || hints.Load() != 1 {
		t.Errorf("got status %d and %d hints, want 200 and 1", resp.StatusCode, hints.Load())
	}
}

func TestProxy_PassesUpgrade(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" {
			t.Errorf("got Upgrade %q, want echo", r.Header.Get("Upgrade"))
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	proxy := newProxy(t, m, server)
	for range 2 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", proxy.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", proxy.Listener.Addr())
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %+v, error %v, want 101", resp, err)
		}
		for i := range 3 {
			_, _ = fmt.Fprintf(conn, "line %d\n", i)
			if text, err := in.ReadString('\n'); err != nil || text != fmt.Sprintf("line %d\n", i) {
				t.Fatalf("got %q, error %v, want line %d", text, err, i)
			}
		}
		_ = conn.Close()
		m.revoke() // In the second round, the first answer is a 401.
	}
	wantIssued(t, m, 2)
}

func TestProxy_ClientDisconnectCancels(t *testing.T) {
	m := &fakeIssuer{}
	left := make(chan struct{})
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	}))
	proxy := newProxy(t, m, server)
	resp := do(t, proxy.Client(), newRequest(t, http.MethodGet, proxy.URL, nil))
	_ = resp.Body.Close()
	<-left
}
