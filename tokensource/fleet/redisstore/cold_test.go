// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// use gets the tokens of many accounts with each replica, at once.
func use(t *testing.T, replicas []replica, accounts int) {
	t.Helper()
	var all sync.WaitGroup
	for i, r := range replicas {
		for caller := range fleetCallers {
			all.Go(func() {
				// Each replica begins with another account.
				for n := caller; n < accounts; n += fleetCallers {
					get(t, r.Source, 1+(n+i*37)%accounts)
				}
			})
		}
	}
	all.Wait()
}

// withoutStore returns how often the replicas could not use the store. A
// process that is starved for 250 ms goes on without it.
func withoutStore(replicas []replica) (n uint64) {
	for _, r := range replicas {
		status := r.issuer.Status()
		n += status.Failed + status.Skipped
	}
	return n
}

// A roll-out: all replicas need the tokens of all accounts at once. Then all
// replicas restart.
func TestFleet_ColdStartIssuesOnce(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	const count, accounts = fleetReplicas, fleetAccounts
	e := &endpoint{}
	replicas := newReplicas(t, count, e, s.addr)
	use(t, replicas, accounts)
	calls, without := e.calls.Load(), withoutStore(replicas)
	t.Logf("%d replicas and %d accounts: %d issuances; the store could not be used %d times", count, accounts, calls, without)
	if limit := accounts*102/100 + int64(without); calls < accounts || calls > limit {
		t.Errorf("%d issuances, want %d to %d", calls, accounts, limit)
	}

	restarted := newReplicas(t, count/5, e, s.addr)
	use(t, restarted, accounts)
	if n, limit := e.calls.Load()-calls, int64(withoutStore(restarted)); n > limit {
		t.Errorf("after a restart there were %d issuances, want at most %d", n, limit)
	}
}

// The platform refuses a token. Twenty callers of each replica want another
// one, at once.
func TestFleet_RevocationIssuesOnce(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	e := &endpoint{}
	replicas := newReplicas(t, fleetReplicas, e, s.addr)
	for _, r := range replicas {
		get(t, r.Source, 1)
	}
	wantCalls(t, e, 1)
	var all sync.WaitGroup
	for _, r := range replicas {
		refused, err := r.Token(t.Context(), account(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			all.Go(func() {
				if tok, err := r.Renew(t.Context(), refused); err != nil || tok.Reveal() == refused.Reveal() {
					t.Errorf("the refused token was not replaced: %v", err)
				}
			})
		}
	}
	all.Wait()
	if calls, without := e.calls.Load(), withoutStore(replicas); calls < 2 || calls > 2+int64(without) {
		t.Errorf("%d issuances, want 2 and one for each of %d failures of the store", calls, without)
	}
}

// A thousand accounts take little memory, with tokens of the usual size.
func TestStore_TakesLittleMemory(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	const accounts, most = 1000, 1229 // 1.2 KiB
	long := issuerFunc(func(account tokensource.Account) string {
		return "secrettoken-" + account.ID() + "-" + strings.Repeat("x", 480-len("secrettoken--")-len(account.ID()))
	})
	replicas := newReplicas(t, 1, long, s.addr)
	get(t, replicas[0].Source, 5000) // The connection takes memory, too.
	before := s.memory(t)
	for n := range accounts {
		get(t, replicas[0].Source, 1+n)
	}
	each := (s.memory(t) - before) / accounts
	t.Logf("an account takes %d bytes", each)
	if each < 480 || each > most {
		t.Errorf("an account takes %d bytes, want at most %d", each, most)
	}
}

// memory returns the bytes that the server's data take.
func (s *server) memory(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(s.cli(t, "INFO", "memory")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the server does not tell its memory")
	return 0
}

// An issuerFunc grants the token that it returns.
type issuerFunc func(tokensource.Account) string

func (f issuerFunc) Issue(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
	return tokensource.Grant{Token: tokensource.NewSecret(f(account)), ExpiresIn: 10 * time.Minute}, nil
}
