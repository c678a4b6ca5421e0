// SPDX-License-Identifier: Apache-2.0

package base_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/internal/base"
)

// clientOf returns a function that makes generations for the network.
func clientOf(t *testing.T, protocol func(*http.Protocols, bool), handler http.HandlerFunc) (*pipeNetwork, func(*http.Transport) *base.Generation) {
	t.Helper()
	n, roots := serve(t, protocol, handler)
	return n, func(*http.Transport) *base.Generation {
		transport := base.New()
		transport.DialContext, transport.TLSClientConfig.RootCAs = n.dial, roots
		return base.Own(transport)
	}
}

// slowHandler answers in two parts, with a second between them.
func slowHandler(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "we")
	_ = http.NewResponseController(w).Flush()
	if r.URL.Path == "/slow" {
		time.Sleep(time.Second)
	}
	_, _ = io.WriteString(w, "ll")
}

func TestConnections_Retire(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols, bool){"HTTP/1.1": http1, "HTTP/2.0": http2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, open := clientOf(t, protocol, slowHandler)
				var connections base.Connections
				defer connections.CloseIdleConnections()
				first := connections.Current(0, open)
				if again := connections.Current(0, open); again != first {
					t.Error("another generation for no reason")
				}

				slow := make(chan string, 1)
				go func() {
					got, err := get(t.Context(), first, "/slow")
					if err != nil {
						t.Error(err)
					}
					slow <- got
				}()
				synctest.Wait()
				if got, err := get(t.Context(), first, "/"); got != name+" well" {
					t.Errorf("the first generation: got %q, error %v, want %q", got, err, name+" well")
				}
				synctest.Wait()
				before := n.dials.Load()

				first.Retire()
				second := connections.Current(0, open)
				if second == first {
					t.Fatal("Current returns a retired generation")
				}
				if got, err := get(t.Context(), second, "/"); got != name+" well" {
					t.Errorf("the second generation: got %q, error %v, want %q", got, err, name+" well")
				}
				synctest.Wait()
				if made := n.dials.Load() - before; made != 1 {
					t.Errorf("%d new connections, want one", made)
				}
				if open := n.open(); open != 2 { // The busy connection and the new connection.
					t.Errorf("%d connections are open, want 2", open)
				}
				if got := <-slow; got != name+" well" {
					t.Errorf("the request in flight got %q", got)
				}
				synctest.Wait()
				if open := n.open(); open != 1 {
					t.Errorf("%d connections are open, want 1", open)
				}
			})
		})
	}
}

// A request may still use a generation that was retired just before it.
func TestConnections_LateRequest(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols, bool){"HTTP/1.1": http1, "HTTP/2.0": http2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, open := clientOf(t, protocol, slowHandler)
				var connections base.Connections
				first := connections.Current(0, open)
				first.Retire()
				if got, err := get(t.Context(), first, "/"); got != name+" well" {
					t.Errorf("got %q, error %v, want %q", got, err, name+" well")
				}
				synctest.Wait()
				if open := n.open(); open != 0 {
					t.Errorf("%d connections are open, want none", open)
				}
			})
		})
	}
}

// Closing a body before its end also ends the request.
func TestConnections_ClosedEarly(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols, bool){"HTTP/1.1": http1, "HTTP/2.0": http2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, open := clientOf(t, protocol, slowHandler)
				var connections base.Connections
				first := connections.Current(0, open)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://pismo.example/slow", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := first.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				first.Retire()
				time.Sleep(200 * time.Millisecond)
				_ = resp.Body.Close()
				synctest.Wait()
				if open := n.open(); open != 0 {
					t.Errorf("%d connections are open", open)
				}
				time.Sleep(time.Second) // Wait until the handler has returned.
			})
		})
	}
}

func TestConnections_Versions(t *testing.T) {
	var connections base.Connections
	var made []*http.Transport
	open := func(before *http.Transport) *base.Generation {
		if len(made) > 0 && before != made[len(made)-1] {
			t.Error("next did not get the previous transport")
		}
		made = append(made, &http.Transport{})
		return base.Own(made[len(made)-1])
	}
	first := connections.Current(1, open)
	second := connections.Current(2, open)
	if first == second {
		t.Error("a new version did not make a new generation")
	}
	// A goroutine with an older version must not bring back the old generation.
	if connections.Current(1, open) != second || connections.Current(2, open) != second {
		t.Error("an old version made a new generation")
	}
	second.Retire()
	if third := connections.Current(1, open); third == second || connections.Current(2, open) != third {
		t.Error("the version of a generation was lost")
	}
	if len(made) != 3 {
		t.Errorf("%d transports were made, want 3", len(made))
	}
}

func TestConnections_FollowAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, open := clientOf(t, http1, func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			line, _ := rw.ReadString('\n')
			_, _ = io.WriteString(conn, line)
		})
		var connections base.Connections
		g := connections.Current(0, open)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://pismo.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp, err := g.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		g.Retire()
		conn, ok := resp.Body.(io.ReadWriteCloser)
		if !ok {
			t.Fatalf("the body of a %d is a %T", resp.StatusCode, resp.Body)
		}
		_, _ = io.WriteString(conn, "hello\n")
		if got, err := io.ReadAll(conn); string(got) != "hello\n" {
			t.Errorf("got %q, error %v, want %q", got, err, "hello\n")
		}
		_ = conn.Close()
		synctest.Wait()
		if open := n.open(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// Overlapping requests keep an HTTP/2 connection open. A dead connection must
// not stay in use because of that.
func TestConnections_OverlappingTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, roots := serve(t, http2, slowHandler)
		open := func(before *http.Transport) *base.Generation {
			if before != nil {
				return base.Own(base.Clone(before))
			}
			first := base.New()
			first.DialContext, first.TLSClientConfig.RootCAs = n.dial, roots
			first.HTTP2 = nil // There are no pings.
			return base.Own(first)
		}
		var connections base.Connections
		defer connections.CloseIdleConnections()
		if _, err := get(t.Context(), connections.Current(0, open), "/"); err != nil {
			t.Fatal(err)
		}
		n.freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		go func() { _, _ = get(ctx, connections.Current(0, open), "/") }() // The request keeps the connection busy.
		synctest.Wait()

		g := connections.Current(0, open)
		short, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		if _, err := get(short, g, "/"); err == nil {
			t.Fatal("got an answer over a dead connection")
		}
		g.Retire()
		if got, err := get(t.Context(), connections.Current(0, open), "/"); got != "HTTP/2.0 well" {
			t.Errorf("got %q, error %v, want %q", got, err, "HTTP/2.0 well")
		}
		cancel()
		time.Sleep(2 * time.Second)
		if closed := n.frozen[0].closed(); !closed {
			t.Error("the dead connection is still open after its last request")
		}
	})
}

// Other users of a borrowed transport keep its connections.
func TestBorrow_KeepsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, roots := serve(t, http1, slowHandler)
		transport := base.New()
		transport.DialContext, transport.TLSClientConfig.RootCAs = n.dial, roots
		defer transport.CloseIdleConnections()
		g := base.Borrow(transport)
		if _, err := get(t.Context(), g, "/"); err != nil {
			t.Fatal(err)
		}
		g.Retire()
		if _, err := get(t.Context(), transport, "/"); err != nil {
			t.Fatal(err)
		}
		if n.dials.Load() != 1 {
			t.Errorf("%d connections, want 1", n.dials.Load())
		}
	})
}

func TestClone_Independence(t *testing.T) {
	cache := tls.NewLRUClientSessionCache(1)
	original := &http.Transport{
		TLSClientConfig: &tls.Config{ClientSessionCache: cache},
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil},
	}
	original.TLSNextProto["h2"] = func(string, *tls.Conn) http.RoundTripper { return original }
	clone := base.Clone(original)
	if clone.TLSClientConfig.ClientSessionCache == cache {
		t.Error("sessions are shared")
	}
	if clone.TLSNextProto["h2"] != nil || !clone.ForceAttemptHTTP2 || clone.HTTP2 == nil {
		t.Error("the pool of HTTP/2 connections is shared")
	}
	if clone.IdleConnTimeout == 0 {
		t.Error("idle connections stay for ever")
	}

	without := base.Clone(&http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, IdleConnTimeout: 1})
	if without.ForceAttemptHTTP2 || without.TLSNextProto == nil || without.IdleConnTimeout != 1 {
		t.Errorf("a disabled setting is enabled: %+v", without)
	}
	used := &http.Transport{}
	used.CloseIdleConnections() // The first use enables HTTP/2.
	if !base.Clone(used).ForceAttemptHTTP2 {
		t.Error("the clone does not use HTTP/2")
	}
}
