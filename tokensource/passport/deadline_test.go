// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestS2S_UnreachableIsUnavailable(t *testing.T) {
	listener := listen(t)
	base := "http://" + listener.Addr().String()
	_ = listener.Close()
	_, err := issuer(base).Issue(t.Context(), tokensource.Organization())
	failure := failedWith(t, err, tokensource.ErrUnavailable)
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("the cause was lost: %v", cause(failure))
	}
	if _, ok := errors.AsType[*url.Error](err); !ok {
		t.Errorf("the cause was lost: %v", cause(failure))
	}
}

// awaitDisconnect waits until the client has left. It reads the request first,
// because a server notices the disconnect only after that.
func awaitDisconnect(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestS2S_DeadlineIsTimeout(t *testing.T) {
	stuck := func(_ http.ResponseWriter, r *http.Request) { awaitDisconnect(r) }
	halfway := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"token":`)
		w.(http.Flusher).Flush()
		awaitDisconnect(r)
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		client  time.Duration // its Timeout
	}{
		"before the head":               {stuck, 0},
		"before the head, the client's": {stuck, 3 * time.Second},
		"in the body":                   {halfway, 0},
		"in the body, the client's":     {halfway, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := issuer("http://127.0.0.1")
				s.Client = overPipe(t, test.handler)
				s.Client.Timeout = test.client
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				_, err := s.Issue(ctx, tokensource.Organization())
				failure := failedWith(t, err, tokensource.ErrTimeout)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the cause was lost: %v", cause(failure))
				}
				want := 5 * time.Second
				if test.client != 0 {
					want = test.client
				}
				if took := time.Since(start); took != want {
					t.Errorf("took %v, want %v", took, want)
				}
			})
		})
	}
}

func TestS2S_CancellationIsNotTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := issuer("http://127.0.0.1")
		s.Client = overPipe(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			awaitDisconnect(r)
		})
		_, err := s.Issue(ctx, tokensource.Organization())
		wantKind(t, err, tokensource.ErrCanceled)
		if !errors.Is(err, context.Canceled) {
			t.Error("the cause was lost")
		}
	})
}
