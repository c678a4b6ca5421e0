// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

// A replica is one process of a fleet.
type replica struct {
	*tokensource.Source

	issuer *fleet.Issuer
}

func newReplicas(t *testing.T, n int, e tokensource.Issuer, addr string) []replica {
	t.Helper()
	replicas := make([]replica, n)
	for i := range replicas {
		replicas[i] = newReplica(t, e, newStore(t, redisstore.Config{Addr: []string{addr}}))
	}
	return replicas
}

func newReplica(t *testing.T, e tokensource.Issuer, store fleet.Store) replica {
	t.Helper()
	issuer, err := fleet.New(fleet.Config{Issuer: e, Store: store, Key: func(context.Context) (tokensource.Secret, error) {
		return tokensource.NewSecret("a secret of more than 16 bytes"), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	src, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	return replica{src, issuer}
}

// The server is killed, and starts again empty, under load. Cached tokens serve
// throughout. Without the server, each replica issues what it needs itself.
// With it, the fleet issues each token once.
func TestStore_KilledAndBack(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	if s == nil {
		return
	}
	const kills, count, cached = 20, 5, 50
	e := &endpoint{}
	replicas := newReplicas(t, count, e, s.addr)
	for n := range cached {
		for _, r := range replicas {
			get(t, r.Source, 1000+n)
		}
	}
	wantCalls(t, e, cached)

	stop := startLoad(t, replicas, cached)
	together := func(number int) {
		var all sync.WaitGroup
		for _, r := range replicas {
			all.Go(func() { get(t, r.Source, number) })
		}
		all.Wait()
	}
	fresh := 10_000
	for range kills {
		s.kill()
		before := e.calls.Load()
		together(fresh)
		if n := e.calls.Load() - before; n > count {
			t.Errorf("without the server, %d replicas issued %d tokens for an account", count, n)
		}
		s.start(t)
		for _, r := range replicas { // Its breaker closes with an issuance that uses the server.
			awaitNil(t, func() error {
				fresh++
				get(t, r.Source, fresh)
				return r.issuer.Status().LastError
			})
		}
		before, failed := e.calls.Load(), withoutStore(replicas)
		fresh++
		together(fresh)
		// On a starved machine a call of the store can take longer than 250 ms.
		// The replica then issues for itself, and counts the failure.
		most := 1 + int64(withoutStore(replicas)-failed)
		if n := e.calls.Load() - before; n < 1 || n > most {
			t.Errorf("with the server back, %d replicas issued %d tokens for an account, want 1 to %d", count, n, most)
		} else if n > 1 {
			t.Logf("%d issuances, %d at most: %v", n, most, replicas[0].issuer.Status())
		}
		fresh++
	}
	stop()
}

// startLoad uses cached accounts with all replicas until the returned function
// is called. It checks each token.
func startLoad(t *testing.T, replicas []replica, cached int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, r := range replicas {
		load.Go(func() {
			pace := time.NewTicker(time.Millisecond)
			defer pace.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				get(t, r.Source, 1000+n%cached)
				<-pace.C
			}
		})
	}
	return func() {
		cancel()
		load.Wait()
	}
}

// wantCalls checks the number of issuances.
func wantCalls(t *testing.T, e *endpoint, want int64) {
	t.Helper()
	if n := e.calls.Load(); n != want {
		t.Errorf("%d issuances, want %d", n, want)
	}
}
