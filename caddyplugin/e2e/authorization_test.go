// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// password is the hash of "hiccup", at a low cost because it protects nothing.
const password = "$2a$04$k7xxmIC4NrbYFXT2wUqEfe1Mh8KFG67sfih33dicJ3eWN.MvPgOLS"

// A client's Authorization must not reach the platform.
func TestAuthorization_PlatformSeesOnlyOurs(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	open, closed, byItself := freeport.Address(t), freeport.Address(t), freeport.Address(t)
	start(t, serverConfig{
		global: p.client(),
		sites: site(open, pismoProxy(p.Host())) + site(byItself, transportOnly(p.Host())) +
			site(closed, block("basic_auth", "alice "+password), "map {http.auth.user.id} {owner} {\nalice "+alice+"\n}",
				block("pismo_proxy "+p.Host(), "account {owner}")),
		env: p.env(),
	})
	authorization := "Authorization"
	for name, test := range map[string]struct {
		address string
		header  []string
	}{
		"behind basic_auth":       {closed, []string{authorization, "Basic YWxpY2U6aGljY3Vw"}},
		"behind an inbound token": {open, []string{authorization, "Bearer " + p.token(t, bob)}},
		"behind two of them":      {open, []string{authorization, "Bearer a", authorization, "Bearer b"}},
		"behind none":             {open, nil},
		"from the transport":      {byItself, []string{authorization, "Bearer " + p.token(t, bob)}},
	} {
		got := newClient(t, test.address, 1).get(t, "/v1/accounts/"+alice, test.header...)
		check(t, "status "+name, got.status, http.StatusOK)
	}
	counts := p.Counts()
	check(t, "requests with anything but one good token", counts.TotalRefused(), 0)
	check(t, "requests for the account", counts.Accounts[alice].Accepted, 5)
}

func TestEarlyData_UnsafeMethodIs425(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	start(t, serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()})
	to := newClient(t, address, 1)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		check(t, method+": status", to.mustSend(t, method, "/v1/payments", "{}", "Early-Data", "1").status, http.StatusTooEarly)
	}
	check(t, "token requests", p.Counts().TokenRequests, 0)
	check(t, "requests to the platform", p.Counts().ResourceRequests, 0)
	check(t, "GET: status", to.get(t, "/v1/accounts/"+alice, "Early-Data", "1").status, http.StatusOK)
	check(t, "status after the handshake", to.mustSend(t, http.MethodPost, "/v1/payments", "{}").status, http.StatusCreated)
}
