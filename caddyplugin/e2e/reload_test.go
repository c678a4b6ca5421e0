// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// connections is the number of connections of a load.
const connections = 16

// alternatingUsers returns a request function that alternates between the
// users. Each request is for the account of its user.
func alternatingUsers(c *client) func(worker, n int) error {
	users := []string{"alice", "bob"}
	return func(worker, n int) error {
		user := users[(worker+n)%len(users)]
		got, err := c.send(http.MethodGet, "/v1/accounts/"+accounts[user], nil, "X-User", user)
		for n := 0; isClosedBeforeAnswer(err) && n < connections; n++ {
			got, err = c.send(http.MethodGet, "/v1/accounts/"+accounts[user], nil, "X-User", user)
		}
		if err := wantOK(got, err, accounts[user]); err != nil {
			return fmt.Errorf("%s: %w", user, err)
		}
		return nil
	}
}

// isClosedBeforeAnswer reports whether a connection was closed before an
// answer. During a reload, Caddy closes the listening socket of the old
// configuration, with the connections in its queue. Server.Shutdown of net/http
// closes accepted connections from which it has read nothing. A client may send
// a GET again then (RFC 9110, section 9.2.2). With kept connections, net/http
// does so. Such a request has not reached the platform: otherwise the platform
// would count more requests than were made.
func isClosedBeforeAnswer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// No request may fail during the reloads.
func TestReload_UnderLoadKeepsTokens(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	s := serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()}
	c := start(t, s)

	l := startLoad(t, connections, alternatingUsers(newClient(t, address, connections)))
	for range 20 {
		l.awaitMore(t, connections)
		if err := c.load(s); err != nil {
			t.Fatal(err)
		}
	}
	l.awaitMore(t, connections)
	made, err := l.stop()
	if err != nil {
		t.Error(err)
	}
	counts := p.Counts()
	check(t, "tokens issued", counts.Issued, len(accounts))
	check(t, "tokens refused", counts.TotalRefused(), 0)
	check(t, "requests to the platform", counts.ResourceRequests, made)
}

func TestReload_SurvivesRevocationsUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	s := serverConfig{global: p.client(), sites: site(address, pismoProxy(p.Host())), env: p.env()}
	c := start(t, s)

	const revocations, reloads = 3, 21
	l := startLoad(t, connections, alternatingUsers(newClient(t, address, connections)))
	for revoked := range revocations {
		l.awaitMore(t, 4*connections)
		before := p.Counts()
		p.RevokeAll()
		for range reloads / revocations {
			if err := c.load(s); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "every renewed token is accepted", func() bool {
			now := p.Counts()
			for _, account := range accounts {
				if now.Accounts[account].Issued != 2+revoked || now.Accounts[account].Accepted <= before.Accounts[account].Accepted+connections {
					return false
				}
			}
			return true
		})
	}
	made, err := l.stop()
	if err != nil {
		t.Error(err)
	}
	counts := p.Counts()
	check(t, "tokens issued", counts.Issued, len(accounts)*(1+revocations))
	check(t, "requests carried out", counts.Accepted, made)
	check(t, "401s that were replayed", counts.ResourceRequests-made, counts.Refused[passporttest.ReasonRevoked])
	check(t, "tokens refused for another reason", counts.TotalRefused(), counts.Refused[passporttest.ReasonRevoked])
	if counts.TotalRefused() < revocations*len(accounts) {
		t.Errorf("%d tokens were refused: the test proves nothing", counts.TotalRefused())
	}
}
