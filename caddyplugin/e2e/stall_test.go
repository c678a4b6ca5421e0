// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The transport reads the body of a 401, for at most a second. A body that
// stalls for longer must not hold back the head too, as Caddy does by default
// with a response of a known length.
func TestStall_HeadOf401Arrives(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "500")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"message":`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})})
	address := freeport.Address(t)
	start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()})
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newClient(t, address, 1).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	check(t, "status", resp.StatusCode, http.StatusUnauthorized)
	check(t, "Content-Length", resp.ContentLength, 500)
	begin := make([]byte, len(`{"message":`))
	if _, err := io.ReadFull(resp.Body, begin); err != nil {
		t.Fatal(err)
	}
	check(t, "the body's beginning", string(begin), `{"message":`)
}
