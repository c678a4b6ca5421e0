// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// trust writes the platform's certificate to a file, for servers that must
// trust it. It returns the path of the file.
func (p fakePlatform) trust(tb testing.TB) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "platform.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// secureSite returns a site in https.
func secureSite(address, certFile, keyFile string, directives ...string) string {
	return block("https://"+address, append([]string{"bind 127.0.0.1", "tls " + certFile + " " + keyFile, users()}, directives...)...) + "\n"
}

// Requests through pismo_proxy and through reverse_proxy have the same result.
func TestProtocol_EveryPairOfVersions(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{TLS: true, HTTP2: true, Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Upstream-Proto", r.Proto)
		_, _ = io.WriteString(w, strings.Repeat("x", int(length)))
	})})
	trust := p.trust(t)
	ours := newAuthority(t)
	certFile, keyFile := ours.issue(t, t.TempDir(), "the server")
	upstream := func(version string) string {
		return pismoProxy("https://"+p.Host(), block("transport pismo", "tls_trust_pool file "+trust, "versions "+version)) + "\n" +
			"handle /plain {\n" + reverseProxyWithToken("https://"+p.Host(), p.token(t, carol), block("transport http", "tls_trust_pool file "+trust, "versions "+version)) + "\n}"
	}
	first, second := freeport.Address(t), freeport.Address(t)
	start(t, serverConfig{
		global: p.client("trusted_ca_certs " + trust),
		sites:  secureSite(first, certFile, keyFile, upstream("1.1")) + secureSite(second, certFile, keyFile, upstream("2")),
		env:    p.env(),
	})

	protocols := func(set func(*http.Protocols)) http.RoundTripper {
		base := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ours.pool()}, Protocols: new(http.Protocols)}
		set(base.Protocols)
		t.Cleanup(base.CloseIdleConnections)
		return base
	}
	h3 := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: ours.pool()}}
	t.Cleanup(func() { _ = h3.Close() })
	payment := strings.Repeat("x", 50_000) // The body is small enough for a replay.
	for clientProto, base := range map[string]http.RoundTripper{
		"HTTP/1.1": protocols(func(p *http.Protocols) { p.SetHTTP1(true) }),
		"HTTP/2.0": protocols(func(p *http.Protocols) { p.SetHTTP2(true) }),
		"HTTP/3.0": h3,
	} {
		for upstreamProto, at := range map[string]struct{ address, user string }{"HTTP/1.1": {first, "alice"}, "HTTP/2.0": {second, "bob"}} {
			to := &client{&http.Client{Transport: base}, "https://" + at.address}
			for round := range 3 {
				if round == 1 {
					p.Revoke(accounts[at.user]) // The replay needs the body again.
				}
				got := to.mustSend(t, http.MethodPost, "/v1/payments", payment, "X-User", at.user)
				name := clientProto + " to " + upstreamProto
				check(t, name+": status", got.status, http.StatusOK)
				check(t, name+": spoken to the client", got.proto, clientProto)
				check(t, name+": spoken to the platform", got.header.Get("X-Upstream-Proto"), upstreamProto)
				check(t, name+": bytes that came back", len(got.body), len(payment))
				same := to.mustSend(t, http.MethodPost, "/plain", payment, "X-User", at.user)
				for _, each := range []http.Header{got.header, same.header} { // These fields differ for each request.
					each.Del("Date")
					each.Del("X-Cid")
				}
				check(t, name+": through reverse_proxy", fmt.Sprint(same.status, same.proto, same.header), fmt.Sprint(got.status, got.proto, got.header))
				check(t, name+": bytes through reverse_proxy", len(same.body), len(payment))
			}
		}
	}
}
