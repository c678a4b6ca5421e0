// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A spy is a body that records its use.
type spy struct {
	io.Reader
	fail   error // returned instead of io.EOF
	read   atomic.Int64
	closed atomic.Int32
	closes chan struct{} // receives a value at each Close; may be nil
}

func (s *spy) Read(p []byte) (int, error) {
	if s.closed.Load() > 0 {
		return 0, errors.New("read after close")
	}
	n, err := s.Reader.Read(p)
	s.read.Add(int64(n))
	if err == io.EOF && s.fail != nil {
		err = s.fail
	}
	return n, err
}

func (s *spy) Close() error {
	s.closed.Add(1)
	if s.closes != nil {
		s.closes <- struct{}{}
	}
	return nil
}

func (s *spy) wantClosedOnce(tb testing.TB) {
	tb.Helper()
	if n := s.closed.Load(); n != 1 {
		tb.Errorf("the body was closed %d times, want once", n)
	}
}

// A spyFactory makes bodies with the same content, and keeps them.
type spyFactory struct {
	content string
	fail    error
	made    []*spy
}

func (s *spyFactory) body() *spy {
	b := &spy{Reader: strings.NewReader(s.content), fail: s.fail}
	s.made = append(s.made, b)
	return b
}

func TestBody_IsClosedOnce(t *testing.T) {
	failure := error(syscall.ECONNRESET)
	known := func(req *http.Request) { req.ContentLength = int64(len("payment")) }
	for _, test := range []struct {
		name   string
		edit   func(*http.Request)
		answer func(sentRequest) (*http.Response, error)
		fail   error // of the body
		rewind bool  // sets GetBody
		bodies int   // number of bodies that are made
	}{
		{"streamed", nil, nil, nil, false, 1},
		{"recorded", known, nil, nil, false, 1},
		{"known, and with GetBody", known, nil, nil, true, 1},
		{"failing while it is streamed", nil, nil, failure, false, 1},
		{"failing while it is recorded", known, nil, failure, false, 1},
		{"failing base", nil, func(sentRequest) (*http.Response, error) { return nil, failure }, nil, true, 1},
		{"unlisted host", func(r *http.Request) { r.URL.Host = "evil.example" }, nil, nil, true, 1},
		{"plaintext", func(r *http.Request) { r.URL.Scheme = "http" }, nil, nil, true, 1},
		{"own Authorization", func(r *http.Request) { r.Header.Set("Authorization", "x") }, nil, nil, true, 1},
		{"own Authorization, body of known length", func(r *http.Request) { known(r); r.Header.Set("Authorization", "x") }, nil, nil, false, 1},
		{"account conflict", func(r *http.Request) {
			*r = *r.WithContext(tokensource.ContextWithAccount(r.Context(), acct(t, "1")))
		}, nil, nil, true, 1},
		{"sent bare after a redirect", func(r *http.Request) { r.URL.Host, r.Response = "evil.example", &http.Response{} }, nil, nil, true, 1},
		{"refused for good", nil, always(http.StatusUnauthorized, ""), nil, true, 2},
		{"refused, and streamed", nil, always(http.StatusUnauthorized, ""), nil, false, 1},
		{"passed", nil, always(http.StatusUnauthorized, `{"code":"EUPI0120"}`), nil, true, 1},
		{"retried to the end", func(r *http.Request) { *r = *r.WithContext(transport.AllowRetry(r.Context())) },
			always(http.StatusServiceUnavailable, ""), nil, true, 3},
		{"refused, replayed and retried", func(r *http.Request) { *r = *r.WithContext(transport.AllowRetry(r.Context())) },
			func(s sentRequest) (*http.Response, error) {
				if s.number == 1 {
					return respond(http.StatusUnauthorized, ""), nil
				}
				return nil, failure
			}, nil, true, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made := &spyFactory{content: "payment", fail: test.fail}
				req := newRequest(t, http.MethodPost, target, made.body())
				if test.rewind {
					req.GetBody = func() (io.ReadCloser, error) { return made.body(), nil }
				}
				if test.edit != nil {
					test.edit(req)
				}
				_, _ = trySend(newTransport(t, &fakeIssuer{}, &fakeBase{answer: test.answer}), req)
				synctest.Wait() // A RoundTripper may close a body after it has returned.
				if len(made.made) != test.bodies {
					t.Errorf("%d bodies were made, want %d", len(made.made), test.bodies)
				}
				for _, body := range made.made {
					body.wantClosedOnce(t)
				}
			})
		})
	}
}

func TestBody_IsClosedWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{answer: always(http.StatusServiceUnavailable, "", "Retry-After", "10")}
		rt := newTransport(t, m, w)
		get(t, rt, target) // Obtains a token.
		m.before = func(context.Context) error { return errors.New("down") }
		sleep(lifetime) // The token has expired.
		made := &spyFactory{content: "payment"}
		req := newRequest(t, http.MethodPut, target, made.body())
		req.GetBody = func() (io.ReadCloser, error) { return made.body(), nil }
		if _, err := trySend(rt, req); !errors.Is(err, tokensource.ErrUnavailable) {
			t.Errorf("got error %v, want ErrUnavailable", err)
		}
		for _, body := range made.made {
			body.wantClosedOnce(t)
		}
	})
}

// The base can refuse such a request only if it sees the extra byte or the
// early end.
func TestBody_WrongLengthReachesTheBase(t *testing.T) {
	for _, length := range []int64{3, 6, 8, 11} {
		base := roundTripper(func(req *http.Request) (*http.Response, error) {
			content, err := io.ReadAll(req.Body)
			if err != nil || req.ContentLength != length || int64(len(content)) == length || !strings.HasPrefix("payment", string(content)) {
				t.Errorf("Content-Length %d for 7 bytes: the base got %d and %q, error %v", length, req.ContentLength, content, err)
			}
			return respond(http.StatusOK, ""), nil
		})
		req := newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment")))
		req.ContentLength = length
		wantStatus(t, send(t, newTransport(t, &fakeIssuer{}, base), req), http.StatusOK)
	}
}

// Half a payment must not arrive as a whole payment, and must not be sent a
// second time.
func TestBody_ReadErrorFailsRequest(t *testing.T) {
	failure := errors.New("the disk is gone")
	m := &fakeIssuer{}
	var executed atomic.Int32
	server := newServer(t, m.guard(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			executed.Add(1)
		}
	}))
	rt := newTransport(t, m, transport.NewBase(), listing(server))
	for _, ctx := range []context.Context{t.Context(), transport.AllowRetry(t.Context())} {
		body := &spy{Reader: strings.NewReader("pay"), fail: failure, closes: make(chan struct{}, 2)}
		req := newRequest(t, http.MethodPost, server.URL, body).WithContext(ctx)
		req.ContentLength = int64(len("payment"))
		if _, err := trySend(rt, req); !errors.Is(err, failure) {
			t.Errorf("got error %v, want the body's", err)
		}
		<-body.closes // Close may be called after the error is returned: see http.RoundTripper.
		body.wantClosedOnce(t)
	}
	if n := executed.Load(); n > 0 {
		t.Errorf("half a payment was executed %d times", n)
	}
}

// net/http waits for a body that does not arrive, even after the context is
// done.
func TestBody_StallEndsAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := &fakeIssuer{}, &fakeBase{}
		stalled := make(chan struct{})
		body := &spy{Reader: readerFunc(func([]byte) (int, error) { <-stalled; return 0, io.EOF })}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req := newRequest(t, http.MethodPost, target, body).WithContext(ctx)
		req.ContentLength = int64(len("payment"))
		start := time.Now()
		_, err := trySend(newTransport(t, m, w), req)
		if waited := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || waited != time.Second {
			t.Errorf("got error %v after %v, want the deadline's after 1s", err, waited)
		}
		wantSent(t, w, 1) // Without its body.
		close(stalled)
		synctest.Wait()
		body.wantClosedOnce(t)
	})
}

// retryablehttp kept the whole body, 243 MiB, in memory.
func TestBody_LargeUploadStreams(t *testing.T) {
	const size, bound = 100 << 20, 32 << 20 // The kernel may buffer some of it, on both sides.
	upload := &spy{Reader: io.LimitReader(zeros{}, size)}
	var received, inFlight int64
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(_ http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 256<<10)
		for {
			n, err := r.Body.Read(chunk)
			received += int64(n)
			inFlight = max(inFlight, upload.read.Load()-received)
			if err != nil {
				return
			}
		}
	}))
	rt := newTransport(t, m, transport.NewBase(), listing(server))
	req := newRequest(t, http.MethodPost, server.URL, upload)
	req.ContentLength = size
	wantStatus(t, send(t, rt, req), http.StatusOK)
	if received != size {
		t.Errorf("%d bytes arrived, want %d", received, size)
	}
	if inFlight > bound {
		t.Errorf("%d bytes were read ahead, want at most %d", inFlight, bound)
	}
	if n := upload.closed.Load(); n == 0 {
		t.Error("the body was not closed")
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
