// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

func http1(p *http.Protocols)   { p.SetHTTP1(true) }
func http2(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }
func created() http.HandlerFunc { return answer(http.StatusCreated, `{"token":"t"}`) }

// issueWithin requests a token with a timeout of d.
func issueWithin(t *testing.T, s *passport.S2S, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_, err := s.Issue(ctx, tokensource.Organization())
	return err
}

// An exchange that timed out may have met a dead connection, and not a dead
// endpoint. So the next exchange uses a new connection. With HTTP/1.1, other
// idle connections are dead too. With HTTP/2, other exchanges still wait on the
// same connection.
func TestS2S_DeadConnection(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols){"HTTP/1.1": http1, "HTTP/2": http2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, p := overPipes(t, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(100 * time.Millisecond)
					created()(w, r)
				}, protocol)
				s := issuer("http://127.0.0.1")
				s.Client = client
				var atOnce sync.WaitGroup
				for range 3 {
					atOnce.Go(func() {
						if err := issueWithin(t, s, time.Second); err != nil {
							t.Error(err)
						}
					})
				}
				atOnce.Wait()
				before := p.freeze()

				atOnce.Go(func() { wantKind(t, issueWithin(t, s, time.Hour), tokensource.ErrTimeout) })
				synctest.Wait()
				wantKind(t, issueWithin(t, s, time.Second), tokensource.ErrTimeout)
				for range 3 {
					if err := issueWithin(t, s, time.Second); err != nil {
						t.Error(err)
					}
					synctest.Wait()
				}
				if made := p.dialled() - before; made != 1 {
					t.Errorf("%d new connections, want 1", made)
				}
				atOnce.Wait()
			})
		})
	}
}

// A broken connection may also cause a truncated answer.
func TestS2S_BrokenAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		halves := 1
		client, p := overPipes(t, func(w http.ResponseWriter, r *http.Request) {
			if halves--; halves >= 0 {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, `{"token":`)
				panic(http.ErrAbortHandler) // The panic ends the stream but not the connection.
			}
			created()(w, r)
		}, http2)
		s := issuer("http://127.0.0.1")
		s.Client = client
		wantKind(t, issueWithin(t, s, time.Second), tokensource.ErrUnavailable)
		for range 3 {
			if err := issueWithin(t, s, time.Second); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := p.dialled(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

// Other requests on the connection of a failed exchange continue.
func TestS2S_SharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, p := overPipes(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				time.Sleep(time.Minute)
				_, _ = io.WriteString(w, "paid")
				return
			}
			awaitDisconnect(r)
		}, http2)
		paid := make(chan string, 1)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/payment", nil)
			resp, err := client.Do(req)
			if err != nil {
				paid <- err.Error()
				return
			}
			defer func() { _ = resp.Body.Close() }()
			body, _ := io.ReadAll(resp.Body)
			paid <- string(body)
		}()
		synctest.Wait()
		s := issuer("http://127.0.0.1")
		s.Client = client
		for range 3 {
			wantKind(t, issueWithin(t, s, time.Second), tokensource.ErrTimeout)
		}
		if got := <-paid; got != "paid" {
			t.Errorf("got %q, want paid", got)
		}
		if n := p.dialled(); n != 3 { // The shared connection, and one for each later exchange.
			t.Errorf("%d connections, want 3", n)
		}
	})
}

// After a complete answer the connection is kept, even if the answer is an
// error.
func TestS2S_ConnectionKept(t *testing.T) {
	for _, status := range []int{201, 302, 400, 401, 403, 418, 429, 500, 503} {
		synctest.Test(t, func(t *testing.T) {
			client, p := overPipes(t, answer(status, `{"token":"t"}`), http2)
			s := issuer("http://127.0.0.1")
			s.Client = client
			for range 3 {
				_ = issueWithin(t, s, time.Second)
				synctest.Wait() // A new connection enters the pool after its first request.
			}
			if n := p.dialled(); n != 1 {
				t.Errorf("status %d: got %d connections, want 1", status, n)
			}
		})
	}
}

// The RoundTripper of a ClientCertificate can also open new connections.
func TestS2S_CertifiedTransport(t *testing.T) {
	files := newPairOnDisk(t, 1)
	synctest.Test(t, func(t *testing.T) {
		client, p := overPipes(t, created(), http2)
		rt := newClientCertificate(t, files).RoundTripper(client.Transport.(*http.Transport))
		s := issuer("http://127.0.0.1")
		s.Client = &http.Client{Transport: rt}
		defer s.Client.CloseIdleConnections()
		if err := issueWithin(t, s, time.Second); err != nil {
			t.Fatal(err)
		}
		p.freeze()
		var waiting sync.WaitGroup
		waiting.Go(func() { wantKind(t, issueWithin(t, s, time.Hour), tokensource.ErrTimeout) })
		synctest.Wait()
		wantKind(t, issueWithin(t, s, time.Second), tokensource.ErrTimeout)
		if err := issueWithin(t, s, time.Second); err != nil {
			t.Error(err)
		}
		waiting.Wait()
	})
}

// S2S closes the idle connections of an unknown Transport, but only after an
// exchange that had a connection.
func TestS2S_UnknownTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, p := overPipes(t, created(), http2)
		s := issuer("http://127.0.0.1")
		s.Client = &http.Client{Transport: struct{ closingTransport }{closingTransport{client.Transport}}}
		if err := issueWithin(t, s, time.Second); err != nil {
			t.Fatal(err)
		}
		p.freeze()
		wantKind(t, issueWithin(t, s, time.Second), tokensource.ErrTimeout)
		time.Sleep(time.Second) // The Source waits for the same duration.
		if err := issueWithin(t, s, time.Second); err != nil {
			t.Error(err)
		}
	})
	closed := 0
	s := issuer("http://127.0.0.1")
	s.Client = &http.Client{Transport: refusingTransport{&closed}}
	wantKind(t, issueWithin(t, s, time.Minute), tokensource.ErrUnavailable)
	if closed != 0 {
		t.Error("connections were closed although none was dialled")
	}
}

// A closingTransport is a RoundTripper of an unknown type that can close idle
// connections.
type closingTransport struct{ http.RoundTripper }

func (c closingTransport) CloseIdleConnections() {
	c.RoundTripper.(*http.Transport).CloseIdleConnections()
}

// A refusingTransport is a RoundTripper that never gets a connection.
type refusingTransport struct{ closed *int }

func (refusingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, io.ErrClosedPipe
}
func (r refusingTransport) CloseIdleConnections() { *r.closed++ }

// S2S uses the Client's current Transport.
func TestS2S_AnotherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := issuer("http://127.0.0.1")
		for range 2 {
			client, p := overPipes(t, created(), http1)
			s.Client = client
			for range 2 {
				if err := issueWithin(t, s, time.Second); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if n := p.dialled(); n != 1 {
				t.Errorf("got %d connections, want 1", n)
			}
		}
	})
}

// If the caller sets no Transport, an issuer has its own connections. It uses
// the same connections for each exchange.
func TestS2S_OwnConnections(t *testing.T) {
	s := issuer("http://127.0.0.1")
	own := passport.TransportOf(s)
	if own == http.DefaultTransport || passport.TransportOf(issuer("http://127.0.0.1")) == own {
		t.Error("the connections belong to another issuer too")
	}
	s.Client = &http.Client{Timeout: time.Minute}
	if passport.TransportOf(s) != own {
		t.Error("another exchange has other connections")
	}
	var atOnce sync.WaitGroup
	for range 8 {
		atOnce.Go(func() {
			if passport.TransportOf(s) != own {
				t.Error("another goroutine has other connections")
			}
		})
	}
	atOnce.Wait()
}

func TestS2S_ConnectionsGoWithIt(t *testing.T) {
	kept := func() func() bool {
		s := issuer("http://127.0.0.1")
		passport.TransportOf(s)
		return passport.HasPool(s)
	}()
	for deadline := time.Now().Add(time.Minute); kept(); runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the connections outlive their issuer")
		}
	}
}
