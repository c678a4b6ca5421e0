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

// connections is how many connections a load has.
const connections = 16

// visits returns a request that alternates between the users, each for the
// account that is theirs.
func visits(c *client) func(worker, n int) error {
	users := []string{"alice", "bob"}
	return func(worker, n int) error {
		user := users[(worker+n)%len(users)]
		got, err := c.send(http.MethodGet, "/v1/accounts/"+accounts[user], nil, "X-User", user)
		for n := 0; unanswered(err) && n < connections; n++ {
			got, err = c.send(http.MethodGet, "/v1/accounts/"+accounts[user], nil, "X-User", user)
		}
		if err := wantOK(got, err, accounts[user]); err != nil {
			return fmt.Errorf("%s: %w", user, err)
		}
		return nil
	}
}

// unanswered reports whether a connection was closed before an answer. Whatever
// it proxies, Caddy does that in a reload: it closes the socket that the old
// configuration listens on, with the connections in its queue, and net/http the
// connections that it has accepted but not yet read from (Server.Shutdown). A
// client may send a GET again then (RFC 9110, section 9.2.2), and if connections
// are kept, net/http does. Such a request has not reached the platform, or there
// would be more requests there than were made.
func unanswered(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

func TestReloadsUnderLoadFailNoRequestAndLoseNoToken(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	s := setup{global: p.client(), sites: site(address, proxy(p.Host())), env: p.env()}
	c := start(t, s)

	l := press(t, connections, visits(newClient(t, address, connections)))
	for range 20 {
		l.more(t, connections)
		if err := c.load(s); err != nil {
			t.Fatal(err)
		}
	}
	l.more(t, connections)
	made, err := l.stop()
	if err != nil {
		t.Error(err)
	}
	counts := p.Counts()
	check(t, "tokens issued", counts.Issued, len(accounts))
	check(t, "tokens refused", counts.TotalRefused(), 0)
	check(t, "requests to the platform", counts.ResourceRequests, made)
}

func TestRevocationsAndReloadsUnderLoadFailNoRequest(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	s := setup{global: p.client(), sites: site(address, proxy(p.Host())), env: p.env()}
	c := start(t, s)

	const revocations, reloads = 3, 12
	l := press(t, connections, visits(newClient(t, address, connections)))
	for revoked := range revocations {
		l.more(t, 4*connections)
		before := p.Counts()
		p.RevokeAll()
		for range reloads / revocations {
			if err := c.load(s); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "every renewed token is accepted", func() bool {
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
		t.Errorf("%d tokens refused: the revocations were not noticed", counts.TotalRefused())
	}
}
