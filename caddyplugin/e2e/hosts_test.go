// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestStart_RefusesUnlistedUpstream(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	for name, test := range map[string]struct {
		directive string
		want      []string // words of the error
	}{
		"a host that is not listed":       {pismoProxy("https://pismo.example.com"), []string{"main", "hosts", "pismo.example.com"}},
		"a host that a block leaves out":  {pismoProxy(p.Host(), block("transport pismo", "hosts api.example.com")), []string{"main", "hosts"}},
		"plaintext beyond loopback":       {pismoProxy("http://192.0.2.1"), []string{"main", "192.0.2.1"}},
		"an unverified certificate":       {pismoProxy("https://192.0.2.1", block("transport pismo", "tls_insecure_skip_verify")), []string{"main", "tls_insecure_skip_verify"}},
		"an account from a forged header": {block("pismo_proxy "+p.Host(), "account {http.request.header.X-Account}"), []string{"account", "account_header"}},
		"no account":                      {block("pismo_proxy " + p.Host()), []string{"account"}},
		"a client that does not exist":    {pismoProxy(p.Host(), "client other"), []string{"other"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryStart(t, serverConfig{global: p.client("hosts 127.0.0.1 192.0.2.1"), sites: site(freeport.Address(t), test.directive), env: p.env()})
			if err == nil {
				t.Fatal("the server starts, want an error")
			}
			for _, word := range test.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not name %q: %v", word, err)
				}
			}
		})
	}
}

// The old configuration still serves.
func TestReload_RefusesUnlistedUpstream(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	good := serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()}
	c := start(t, good)
	to := newClient(t, address, 1)
	check(t, "status", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)

	bad := good
	bad.sites = site(address, pismoProxy("https://pismo.example.com"))
	if err := c.load(bad); err == nil {
		t.Error("the server loads the configuration")
	}
	check(t, "status afterwards", to.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
	check(t, "tokens issued", p.Counts().Issued, 1)
}

func TestHosts_CheckedPerRequest(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	other := newPlatform(t, passporttest.Config{Addr: "127.0.0.2:0"})
	address := freeport.Address(t)
	start(t, serverConfig{
		global: p.client("hosts 127.0.0.1"),
		sites:  site(address, pismoProxy("{http.request.header.X-Upstream}")),
		env:    p.env(),
	})
	to := newClient(t, address, 1)
	check(t, "status from the one that is listed", to.get(t, "/v1/accounts/"+alice, "X-Upstream", p.Host()).status, http.StatusOK)
	check(t, "status from the other", to.get(t, "/v1/accounts/"+alice, "X-Upstream", other.Host()).status, http.StatusInternalServerError)
	check(t, "requests to the other", other.Counts().ResourceRequests, 0)
}
