// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// chunked hides the length of a body.
type chunked struct{ io.Reader }

// reverse_proxy sets a Trailer, which may be empty, in every request with a
// body. It must not prevent the replay of a payment with a recorded body.
func TestReplay_PaymentIsSentAgain(t *testing.T) {
	t.Parallel()
	const payment = `{"amount":100}`
	for name, test := range map[string]struct {
		body    io.Reader
		options []string
	}{
		"a short body":        {strings.NewReader(payment), nil},
		"the longest":         {strings.NewReader(strings.Repeat("x", 64<<10)), nil},
		"a buffered body":     {chunked{strings.NewReader(payment)}, []string{"request_buffers 64KiB"}},
		"a buffered response": {strings.NewReader(payment), []string{"response_buffers 64KiB"}},
		"no body":             {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{})
			address := freeport.Address(t)
			start(t, serverConfig{global: p.client(), sites: site(address, "tracing", pismoProxy(p.Host(), test.options...)), env: append(p.env(), "OTEL_TRACES_EXPORTER=none")})
			to := newClient(t, address, 1)
			check(t, "status before", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
			p.RevokeAll()
			got, err := to.send(http.MethodPost, "/v1/payments", test.body)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "status", got.status, http.StatusCreated)
			check(t, "payments carried out", p.Counts().Accepted, 2)
			check(t, "tokens issued", p.Counts().Issued, 2)
		})
	}
}

// A proxy may be in the response route of another proxy. Each proxy replays.
func TestReplay_OncePerProxy(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	inner := block("pismo_proxy "+p.Host(), "account {account}")
	start(t, serverConfig{
		global: p.client(),
		sites:  site(address, block("pismo_proxy "+p.Host(), "account organization", "rewrite /v1/organization", "@ok status 200", block("handle_response @ok", inner))),
		env:    p.env(),
	})
	to := newClient(t, address, 1)
	for range 2 {
		check(t, "status", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
		p.RevokeAll()
	}
	check(t, "tokens issued", p.Counts().Issued, 4)
}

// The upstream gets the beginning of an upload while the client still sends.
func TestBody_StreamsWhileRecorded(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		begun <- struct{}{}
		rest, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s%s", first, rest)
	})})
	eachDirective(t, p, func(t *testing.T, _ *server, address string) {
		for _, incremental := range []string{"?0", "?1"} {
			reader, writer := io.Pipe()
			go func() {
				_, _ = io.WriteString(writer, "first")
				select {
				case <-begun:
				case <-time.After(testTimeout):
				}
				_, _ = io.WriteString(writer, "second")
				_ = writer.Close()
			}()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/", reader)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = int64(len("firstsecond"))
			req.Header.Set("Incremental", incremental)
			got, err := newClient(t, address, 1).read(req)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "body with Incremental: "+incremental, got.body, "firstsecond")
		}
	})
}

// The proxy reads no body before it has a connection, so that an error route
// gets the body.
func TestBody_ReachesErrorRoute(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, length)
	})})
	for name, second := range map[string]string{
		"reverse_proxy": reverseProxyWithToken(p.Host(), p.token(t, alice)),
		"pismo_proxy":   pismoProxy(p.Host()),
	} {
		for _, replayed := range []string{"64KiB", "off"} {
			address := freeport.Address(t)
			first := pismoProxy(freeport.Address(t), block("transport pismo", "max_replay_body "+replayed))
			start(t, serverConfig{global: p.client("hosts 127.0.0.1"), sites: site(address, first, block("handle_errors", second)), env: p.env()})
			for _, length := range []int{1, 64 << 10, 64<<10 + 1} {
				got := newClient(t, address, 1).mustSend(t, http.MethodPost, "/", strings.Repeat("x", length))
				check(t, name+" after max_replay_body "+replayed, got.body, fmt.Sprint(length))
			}
		}
	}
}

// The trailers of a client arrive after its body. By then, tracing has copied
// the request.
func TestTracing_KeepsRequestTrailers(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%v", r.Trailer)
	})})
	for _, tracing := range []string{"", "tracing"} {
		for name, directive := range map[string]string{"reverse_proxy": reverseProxyWithToken(p.Host(), p.token(t, alice)), "pismo_proxy": pismoProxy(p.Host())} {
			address := freeport.Address(t)
			start(t, serverConfig{global: p.client(), sites: site(address, tracing, directive), env: append(p.env(), "OTEL_TRACES_EXPORTER=none")})
			check(t, name+" "+tracing, sendTrailer(t, address), "map[X-Absent:[] X-Sum:[42]]")
		}
	}
}

// sendTrailer sends a request that announces trailers and omits one of them. It
// returns the body of the answer.
func sendTrailer(tb testing.TB, address string) string {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		tb.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nTrailer: X-Sum, X-Absent\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n", address)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}
