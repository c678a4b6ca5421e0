// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A body that nobody reads is closed unread.
func TestRecording_ClosesUnreadBody(t *testing.T) {
	for name, base := range map[string]func(*http.Request) (*http.Response, error){
		"closed": func(req *http.Request) (*http.Response, error) {
			return respond(http.StatusOK, ""), req.Body.Close()
		},
		"closed twice": func(req *http.Request) (*http.Response, error) {
			return respond(http.StatusOK, ""), errors.Join(req.Body.Close(), req.Body.Close())
		},
		"closed, with an error": func(req *http.Request) (*http.Response, error) {
			return nil, errors.Join(errors.New("error of the base"), req.Body.Close())
		},
	} {
		body := newMonitoredBody(t, "payment")
		_, _ = trySend(newTransport(t, &fakeIssuer{}, roundTripper(base)), knownLengthRequest(t, target, body, len("payment")))
		body.wantClosedOnce(t)
		if n := body.reads.Load(); n > 0 {
			t.Errorf("%s: it was read %d times", name, n)
		}
	}
}

// A response may arrive while the body is still being sent. The body then
// continues.
func TestRecording_StreamsOnAfterResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newMonitoredBody(t, "pay")
		var got []byte
		done := make(chan error)
		rt := newTransport(t, &fakeIssuer{}, roundTripper(func(req *http.Request) (*http.Response, error) {
			go func() {
				var err error
				got, err = io.ReadAll(req.Body)
				done <- errors.Join(err, req.Body.Close())
			}()
			return respond(http.StatusOK, ""), nil
		}))
		wantStatus(t, send(t, rt, knownLengthRequest(t, target, body, len("payment"))), http.StatusOK)
		synctest.Wait()
		if body.closed.Load() > 0 {
			t.Error("the body was closed while it was being sent")
		}
		body.pieces <- "ment"
		close(body.pieces)
		if err := <-done; err != nil || string(got) != "payment" {
			t.Errorf("%q arrived, with error %v", got, err)
		}
		synctest.Wait()
		body.wantClosedOnce(t)
	})
}

// A base may stop in the middle of a body. The rest must not be read, because
// it may never arrive.
func TestRecording_StopsWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newMonitoredBody(t, "pay")
		rt := newTransport(t, &fakeIssuer{}, roundTripper(func(req *http.Request) (*http.Response, error) {
			_, _ = io.ReadFull(req.Body, make([]byte, 3))
			synctest.Wait()
			return respond(http.StatusOK, ""), req.Body.Close()
		}))
		wantStatus(t, send(t, rt, knownLengthRequest(t, target, body, len("payment"))), http.StatusOK)
		body.pieces <- "me"
		synctest.Wait()
		body.wantClosedOnce(t)
	})
}

// A fault in a body recurs in the replay.
func TestRecording_NotReplayedIfFaulty(t *testing.T) {
	failure := errors.New("the client has gone")
	for name, test := range map[string]struct {
		content string
		fail    error
		sent    int
	}{
		"right":    {"payment", nil, 2},
		"short":    {"pay", nil, 2}, // The base reports the wrong length.
		"too long": {"payments", nil, 1},
		"broken":   {"pay", failure, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			var bodies []string
			rt := newTransport(t, &fakeIssuer{}, roundTripper(func(req *http.Request) (*http.Response, error) {
				content, _ := io.ReadAll(req.Body)
				bodies = append(bodies, string(content))
				return respond(http.StatusUnauthorized, ""), req.Body.Close()
			}))
			body := newMonitoredBody(t, test.content)
			body.fail = test.fail
			close(body.pieces)
			r := send(t, rt, knownLengthRequest(t, target, body, len("payment")))
			wantStatus(t, r, http.StatusUnauthorized)
			if len(bodies) != test.sent {
				t.Errorf("%s: it was sent %d times, want %d", name, len(bodies), test.sent)
			}
			for _, content := range bodies {
				if content != test.content {
					t.Errorf("%s: %q was sent, want %q", name, content, test.content)
				}
			}
			synctest.Wait()
			body.wantClosedOnce(t)
		})
	}
}

// A caller that leaves does not wait for a stalled body. With HTTP/1, net/http
// alone would wait for the body.
func TestRecording_EndsAtCallersDeadline(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		m := &fakeIssuer{}
		server, base := newTLSServer(t, http2, m.guard(func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				panic(http.ErrAbortHandler) // Gives no answer to half a payment.
			}
		}))
		rt := newTransport(t, m, base, listing(server))
		get(t, rt, server.URL)
		body := newMonitoredBody(t, "pay")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		req := knownLengthRequest(t, server.URL, body, len("payment")).WithContext(ctx)
		if r, err := trySend(rt, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("HTTP/2 %t: got %+v with error %v, want the deadline's", http2, r, err)
		}
		cancel()
		close(body.pieces) // Lets the test end.
	}
}
