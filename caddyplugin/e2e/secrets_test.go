// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestSecretFile_IsReadForEachIssuance(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(p.ServerSecret())
	address := freeport.Address(t)
	start(t, serverConfig{
		global: block("pismo", block("client main", "base_url "+p.URL(), "server_key {env.PISMO_SERVER_KEY}", "server_secret {file."+file+"}")),
		sites:  site(address, pismoProxy(p.Host())),
		env:    []string{"PISMO_SERVER_KEY=" + p.ServerKey()},
	})
	l := startLoad(t, connections, alternatingUsers(newClient(t, address, connections)))
	for range 3 {
		l.awaitMore(t, connections)
		write(p.RotateSecret())
		l.awaitMore(t, connections) // Cached tokens stay valid.
		issued := p.Counts().Issued
		p.RevokeAll()
		await(t, "new tokens are issued", func() bool { return p.Counts().Issued == issued+len(accounts) })
	}
	if _, err := l.stop(); err != nil {
		t.Error(err)
	}
	check(t, "token requests with an old secret", p.Counts().Rejected, 0)
}

// A certificate is shown at a handshake. The test keeps no connections, so that
// there are handshakes.
func TestCertificate_RotatesAtHandshake(t *testing.T) {
	t.Parallel()
	theirs, ours := newAuthority(t), newAuthority(t)
	fake, err := passporttest.New(passporttest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)

	var shown shownCertificates
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown.note(r)
		w.Header().Set("Connection", "close")
		fake.Handler().ServeHTTP(w, r)
	}))
	certFile, keyFile := theirs.issue(t, t.TempDir(), "the platform")
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool()}
	front.StartTLS()
	t.Cleanup(front.Close)

	dir := t.TempDir()
	trust := filepath.Join(dir, "authority.pem")
	writePEM(t, trust, "CERTIFICATE", theirs.certificate.Raw)
	certFile, keyFile = ours.issue(t, dir, "the first")
	address := freeport.Address(t)
	start(t, serverConfig{
		global: block("pismo", block("client main", "base_url "+front.URL, "server_key {env.PISMO_SERVER_KEY}", "server_secret {env.PISMO_SERVER_SECRET}",
			"client_certificate "+certFile+" "+keyFile, "trusted_ca_certs "+trust)),
		sites: site(address, pismoProxy(front.URL, block("transport pismo", "tls_trust_pool file "+trust))),
		env:   fakePlatform{fake}.env(),
	})
	to := newClient(t, address, 1)
	for _, name := range []string{"the first", "the second", "the third"} {
		ours.issue(t, dir, name)
		fake.RevokeAll()
		check(t, "status", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
		check(t, "shown to the token endpoint", shown.last("/passport/v2/s2s/access-token"), name)
		check(t, "shown to the upstream", shown.last("/v1/accounts/"+alice), name)
	}
}

// shownCertificates are the names of the certificates that clients have shown,
// by the path of the request.
type shownCertificates struct{ byPath sync.Map }

func (s *shownCertificates) note(r *http.Request) {
	s.byPath.Store(r.URL.Path, r.TLS.PeerCertificates[0].Subject.CommonName)
}

func (s *shownCertificates) last(path string) string {
	name, _ := s.byPath.Load(path)
	text, _ := name.(string)
	return text
}
