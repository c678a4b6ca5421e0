// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// eachDirective runs a test with reverse_proxy and with pismo_proxy, which must
// behave alike.
func eachDirective(t *testing.T, p fakePlatform, test func(t *testing.T, c *server, address string)) {
	t.Helper()
	for name, directive := range map[string]string{
		"reverse_proxy": reverseProxyWithToken(p.Host(), p.token(t, alice)),
		"pismo_proxy":   pismoProxy(p.Host()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := freeport.Address(t)
			test(t, start(t, serverConfig{global: p.client(), sites: site(address, directive), env: p.env()}), address)
		})
	}
}

func TestStream_PassesWebSocket(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{Resource: websocket.Server{Handler: func(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }}})
	eachDirective(t, p, func(t *testing.T, _ *server, address string) {
		ws, err := websocket.Dial("ws://"+address+"/", "", "http://"+address)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		if err := ws.SetDeadline(time.Now().Add(testTimeout)); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			sent, got := fmt.Sprint("message ", n), ""
			if err := websocket.Message.Send(ws, sent); err != nil {
				t.Fatal(err)
			}
			if err := websocket.Message.Receive(ws, &got); err != nil {
				t.Fatal(err)
			}
			check(t, "echo", got, sent)
		}
	})
}

func TestStream_FlushesServerSentEvents(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next: // The client has the event.
			case <-r.Context().Done():
				return
			}
		}
	})})
	for name, directive := range map[string]string{"reverse_proxy": reverseProxyWithToken(p.Host(), p.token(t, alice)), "pismo_proxy": pismoProxy(p.Host())} {
		address := freeport.Address(t)
		start(t, serverConfig{global: p.client(), sites: site(address, directive), env: p.env()})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newClient(t, address, 1).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for n := range 3 {
			if !lines.Scan() || lines.Text() != fmt.Sprint("data: ", n) || !lines.Scan() {
				t.Fatalf("%s: got %q as event %d, error %v", name, lines.Text(), n, lines.Err())
			}
			next <- struct{}{}
		}
	}
}

func TestStream_LargeUploadStaysOutOfMemory(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	eachDirective(t, p, func(t *testing.T, c *server, address string) {
		to := newClient(t, address, 1)
		upload := func(size int64) {
			t.Helper()
			// The length is unknown, so the body is sent in chunks.
			got, err := to.send(http.MethodPost, "/v1/uploads", io.LimitReader(zeros{}, size))
			if err := wantOK(got, err, `"length":`+strconv.FormatInt(size, 10)); err != nil {
				t.Fatal(err)
			}
		}
		upload(1 << 20)
		before := c.peakMemory(t)
		upload(100 << 20)
		const most = 32 << 20
		if grown := c.peakMemory(t) - before; grown > most {
			t.Errorf("an upload of 100 MiB took %d MiB of memory of the server", grown>>20)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// peakMemory returns the peak memory of the process in bytes.
func (c *server) peakMemory(tb testing.TB) int {
	tb.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.command.Process.Pid), "status"))
	if err != nil {
		tb.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		tb.Fatal("the system does not tell how much memory a process has had")
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		tb.Fatal(err)
	}
	return kib << 10
}

func TestProxy_PassesTrailersAndRedirects(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.Header().Set("Trailer", "X-Digest")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Digest", "of the body")
	})})
	eachDirective(t, p, func(t *testing.T, _ *server, address string) {
		to := newClient(t, address, 1)
		check(t, "trailer", to.get(t, "/").trailer.Get("X-Digest"), "of the body")
		moved := to.get(t, "/moved")
		check(t, "status", moved.status, http.StatusFound)
		check(t, "Location", moved.header.Get("Location"), "/elsewhere")
	})
}
