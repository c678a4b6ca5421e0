// SPDX-License-Identifier: Apache-2.0

package base_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/internal/base"
)

func get(ctx context.Context, rt http.RoundTripper, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://pismo.example"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.Proto + " " + string(body), err
}

// Requests use a dropped connection for seconds only, not for the minutes until
// TCP gives up.
func TestNew_DeadHTTP2Connection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, roots := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") })
		transport := base.New()
		transport.DialContext, transport.TLSClientConfig.RootCAs = n.dial, roots
		defer transport.CloseIdleConnections()
		if got, err := get(t.Context(), transport, "/"); got != "HTTP/2.0 well" {
			t.Fatalf("got %q, error %v, want %q", got, err, "HTTP/2.0 well")
		}
		time.Sleep(time.Minute) // Pings do not close a working connection.
		if got, err := get(t.Context(), transport, "/"); got != "HTTP/2.0 well" || n.dials.Load() != 1 {
			t.Fatalf("got %q, %v on connection %d", got, err, n.dials.Load())
		}
		n.freeze()
		for began := time.Now(); ; {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			got, err := get(ctx, transport, "/")
			cancel()
			if got == "HTTP/2.0 well" {
				break
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Fatalf("the connection is dead for %v: %v, want 6s at most", took, err)
			}
		}
		if n.dials.Load() != 2 {
			t.Errorf("%d connections were made, want 2", n.dials.Load())
		}
	})
}
