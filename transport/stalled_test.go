// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// A stalled body has a beginning. The rest arrives when the test releases it,
// or never. Close ends a Read, as with the body of a net/http response.
type stalledBody struct {
	beginning io.Reader
	more      chan string
	closed    chan struct{}
	closes    int
}

func newStalledBody(beginning string) *stalledBody {
	return &stalledBody{beginning: strings.NewReader(beginning), more: make(chan string), closed: make(chan struct{})}
}

func (b *stalledBody) Read(p []byte) (int, error) {
	if n, _ := b.beginning.Read(p); n > 0 {
		return n, nil
	}
	select {
	case text, ok := <-b.more:
		if !ok {
			return 0, io.EOF
		}
		b.beginning = strings.NewReader(text)
		return b.beginning.Read(p)
	case <-b.closed:
		return 0, errors.New("read on a closed body")
	}
}

func (b *stalledBody) Close() error {
	if b.closes++; b.closes == 1 {
		close(b.closed)
	}
	return nil
}

func (b *stalledBody) response(status int) *http.Response {
	resp := respond(status, "")
	resp.Body, resp.ContentLength = b, -1
	return resp
}

// Callers got the head of a 401 only after 8 to 16 seconds.
func TestRefusal_IsReadForOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			m := &fakeIssuer{}
			body := newStalledBody(`{"code":`)
			w := &fakeBase{answer: func(sentRequest) (*http.Response, error) { return body.response(http.StatusUnauthorized), nil }}
			began := time.Now()
			resp, err := newTransport(t, m, w).RoundTrip(newRequest(t, method, target, nil))
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("%s: it took %v, want 1s", method, took)
			}
			if verdict, _ := transport.VerdictOf(resp); verdict != transport.Unrecognized {
				t.Errorf("%s: the verdict is %q, want %q", method, verdict, transport.Unrecognized)
			}
			wantSent(t, w, 1)
			go func() {
				sleep(time.Minute)
				body.more <- `"EUPI`
				body.more <- `0120"}`
				close(body.more)
			}()
			content, err := io.ReadAll(resp.Body)
			if string(content) != `{"code":"EUPI0120"}` || err != nil {
				t.Errorf("%s: the caller got %q with error %v, want the whole body", method, content, err)
			}
			_ = resp.Body.Close()
			if body.closes != 1 {
				t.Errorf("%s: the body was closed %d times, want once", method, body.closes)
			}
			synctest.Wait()
			wantIssued(t, m, 2) // After an early revocation, the next request gets a new token.
		}
	})
}

// The status and the header suffice for a verdict: the token has expired, or
// was revoked.
func TestRefusal_StalledBodyHidesNoChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		stalled := newStalledBody("{")
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			if s.number > 1 {
				return respond(http.StatusOK, ""), nil
			}
			resp := stalled.response(http.StatusUnauthorized)
			resp.Header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			return resp, nil
		}}
		wantStatus(t, post(t, newTransport(t, m, w), target, "payment"), http.StatusOK)
		if stalled.closes != 1 {
			t.Errorf("the body was closed %d times, want once", stalled.closes)
		}
	})
}

// Closing a stalled body ends its Read, and ends the goroutine that reads
// ahead. The bubble ends only if both have ended.
func TestRefusal_ClosingStalledBodyEndsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newStalledBody("half")
		w := &fakeBase{answer: func(sentRequest) (*http.Response, error) { return body.response(http.StatusUnauthorized), nil }}
		resp, err := newTransport(t, &fakeIssuer{}, w).RoundTrip(newRequest(t, http.MethodPost, target, nil))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			sleep(time.Minute)
			_ = resp.Body.Close()
		}()
		content, err := io.ReadAll(resp.Body)
		if string(content) != "half" || err == nil {
			t.Errorf("got %q with error %v, want half and an error", content, err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
			t.Error("the body can be read after Close")
		}
	})
}

// A caller that has left does not wait for a body.
func TestRefusal_ReadEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{answer: func(sentRequest) (*http.Response, error) {
			return newStalledBody("").response(http.StatusUnauthorized), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		resp, err := newTransport(t, m, w).RoundTrip(newRequest(t, http.MethodPost, target, nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %v, want 100ms", took)
		}
		synctest.Wait()
		wantIssued(t, m, 1) // A body that was not read is no evidence.
	})
}

// The stalled body of a 503 delayed the retry until the deadline.
func TestRetry_DoesNotWaitForStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for retryAfter, most := range map[string]time.Duration{"": 100 * time.Millisecond, "0": 100 * time.Millisecond, "5": 5 * time.Second} {
			stalled := newStalledBody("busy")
			w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
				if s.number > 1 {
					return respond(http.StatusOK, ""), nil
				}
				resp := stalled.response(http.StatusServiceUnavailable)
				resp.Header.Set("Retry-After", retryAfter)
				return resp, nil
			}}
			began := time.Now()
			wantStatus(t, get(t, newTransport(t, &fakeIssuer{}, w), target), http.StatusOK)
			if took := time.Since(began); took > most {
				t.Errorf("Retry-After %q: the retry came after %v, want at most %v", retryAfter, took, most)
			}
			if stalled.closes != 1 {
				t.Errorf("Retry-After %q: the body was closed %d times, want once", retryAfter, stalled.closes)
			}
		}
	})
}

// The test uses real servers, over both versions of HTTP.
func TestRefusal_StalledByServer(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := &fakeIssuer{}
		more := make(chan struct{})
		server, base := newTLSServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-more:
				_, _ = io.WriteString(w, " and half")
			case <-r.Context().Done():
			}
		})
		rt := newTransport(t, m, base, listing(server))
		resp, err := rt.RoundTrip(newRequest(t, http.MethodPost, server.URL, strings.NewReader("payment")))
		if err != nil {
			t.Fatal(err)
		}
		close(more)
		content, err := io.ReadAll(resp.Body)
		if string(content) != "half and half" || err != nil {
			t.Errorf("HTTP/2 %t: got %q with error %v, want both halves", http2, content, err)
		}
		_ = resp.Body.Close()
	}
}

// A body of more than 64 KiB is passed on unchanged.
func TestRefusal_LongBodyPassesWhole(t *testing.T) {
	for _, size := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 64<<10 + 2, 1 << 20} {
		body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		made := &spyFactory{content: string(body)}
		w := &fakeBase{answer: func(sentRequest) (*http.Response, error) {
			resp := respond(http.StatusUnauthorized, "")
			resp.Body = made.body()
			return resp, nil
		}}
		req := newRequest(t, http.MethodPost, target, withoutGetBody(strings.NewReader("payment")))
		if r := send(t, newTransport(t, &fakeIssuer{}, w), req); r.body != string(body) {
			t.Errorf("%d bytes: the caller got %d bytes, or different bytes", size, len(r.body))
		}
		made.made[0].wantClosedOnce(t)
	}
}
