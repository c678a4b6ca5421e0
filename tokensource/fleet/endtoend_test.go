// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// newReplica returns the client of one process of a fleet. It has the
// transport, the issuer and the credentials of a real program.
func newReplica(t *testing.T, pismo *passporttest.Server, name string, store fleet.Store) *http.Client {
	t.Helper()
	issuer := pismo.Issuer()
	issuer.Header = http.Header{"X-Replica": {name}}
	secret := passport.StaticCredentials(pismo.ServerKey(), pismo.ServerSecret()).Secret
	source := newSource(t, issuer, store, func(c *fleet.Config) { c.Key = secret })
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}, Base: pismo.RoundTripper()})
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: authenticated, Timeout: time.Minute}
}

// On a platform where a new token ends the older ones, fifty replicas send
// requests for ten minutes. The platform refuses old tokens. No caller sees a
// 401, and each account costs one issuance for each life.
func TestFleet_CallersSeeNo401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const replicas, accounts, step = 50, 3, 5 * time.Second
		pismo := passporttest.NewInProcess(t, passporttest.Config{
			NewTokenRevokesOld: true, ReplicaHeader: "X-Replica", TokenLatency: 30 * time.Millisecond,
		})
		defer time.Sleep(20 * time.Second) // Renewals in the background end.
		store := new(fleettest.Memory)
		var clients []*http.Client
		for n := range replicas {
			clients = append(clients, newReplica(t, pismo, strconv.Itoa(n), store))
		}
		for range 10 * time.Minute / step {
			var all sync.WaitGroup
			for _, client := range clients {
				all.Go(func() {
					for n := range accounts {
						if status := get(t, client, pismo.URL(), acct(t, n+1)); status != http.StatusOK {
							t.Errorf("a caller sees status %d", status)
						}
					}
				})
			}
			all.Wait()
			time.Sleep(step)
		}
		counts := pismo.Counts()
		for n := range accounts {
			// A life ends after 70 % of 10 minutes at the earliest.
			if issued := counts.Accounts[strconv.Itoa(n+1)].Issued; issued != 2 {
				t.Errorf("account %d: %d issuances, want 2", n+1, issued)
			}
		}
		if counts.Refused[passporttest.ReasonRevoked] == 0 {
			t.Error("the platform refused no old token, so the test proves nothing")
		}
		issued := 0
		for _, n := range counts.IssuedTo {
			issued += n
		}
		if issued != counts.Issued || counts.IssuedTo[passporttest.Recipient{Account: "1"}] != 0 {
			t.Errorf("not every token was issued to a replica: %v", counts.IssuedTo)
		}
	})
}

// get requests an account, and returns the status of the answer.
func get(t *testing.T, client *http.Client, url string, account tokensource.Account) int {
	t.Helper()
	ctx := tokensource.ContextWithAccount(t.Context(), account)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/accounts/"+account.ID(), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
