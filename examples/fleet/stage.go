// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A stage has two fakes of Pismo, a store, and the replicas that use them.
type stage struct {
	ctx       context.Context
	platforms both[*passporttest.Server]
	store     *storeServer
	isRedis   bool
	replicas  []*process

	failed      both[int] // requests so far
	storeMissed int       // operations of the store so far
	storeError  string    // of the last round; see roundResult
}

// tokenLatency is how long a fake takes to issue a token.
const tokenLatency = 50 * time.Millisecond

// newStage starts everything. The replicas end with ctx.
func newStage(ctx context.Context, o options) (s *stage, err error) {
	s = &stage{ctx: ctx, isRedis: o.redis != ""}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, platform := range []**passporttest.Server{&s.platforms.With, &s.platforms.Without} {
		*platform, err = passporttest.Start(passporttest.Config{
			Lifetime:           o.lifetime,
			TokenLatency:       tokenLatency,
			NewTokenRevokesOld: o.revokeOld,
			ReplicaHeader:      replicaHeader,
		})
		if err != nil {
			return s, err
		}
	}
	if s.store, err = newStoreServer(o.redis); err != nil {
		return s, err
	}
	for n := range o.replicas {
		replica, err := s.startReplica(n)
		if err != nil {
			return s, err
		}
		s.replicas = append(s.replicas, replica)
	}
	return s, nil
}

func (s *stage) startReplica(n int) (*process, error) {
	access := func(p *passporttest.Server) platformConfig {
		return platformConfig{p.URL(), p.ServerKey(), p.ServerSecret()}
	}
	return startReplica(s.ctx, replicaConfig{
		Name:      replicaName(n),
		Platforms: both[platformConfig]{access(s.platforms.With), access(s.platforms.Without)},
		Network:   s.store.network,
		Address:   s.store.address,
		Redis:     s.isRedis,
	})
}

func replicaName(n int) string { return "replica " + strconv.Itoa(n+1) }

// restart kills a replica, and starts it again.
func (s *stage) restart(n int) error {
	s.replicas[n].kill()
	replica, err := s.startReplica(n)
	if err != nil {
		return err
	}
	s.replicas[n] = replica
	return nil
}

// round makes all replicas send requests for accounts at the same time.
func (s *stage) round(accounts []string) error {
	var all sync.WaitGroup
	results, errs := make([]roundResult, len(s.replicas)), make([]error, len(s.replicas))
	for n, replica := range s.replicas {
		all.Go(func() { results[n], errs[n] = replica.round(accounts) })
	}
	all.Wait()
	s.storeError = ""
	for _, r := range results {
		s.failed.With += r.Failed.With
		s.failed.Without += r.Failed.Without
		s.storeMissed += int(r.StoreMissed) //nolint:gosec // It is a small number.
		s.storeError = cmp.Or(s.storeError, r.StoreError)
	}
	return errors.Join(errs...)
}

// figures returns the figures so far.
func (s *stage) figures() figures {
	f := figures{failed: s.failed, storeMissed: s.storeMissed}
	with, without := s.platforms.With.Counts(), s.platforms.Without.Counts()
	f.issued = both[int]{with.Issued, without.Issued}
	f.refused = both[int]{with.Refused[passporttest.ReasonRevoked], without.Refused[passporttest.ReasonRevoked]}
	return f
}

// issuedTo returns how many tokens a replica has got.
func (s *stage) issuedTo(n int) (sum both[int]) {
	for to, tokens := range s.platforms.With.Counts().IssuedTo {
		if to.Replica == replicaName(n) {
			sum.With += tokens
		}
	}
	for to, tokens := range s.platforms.Without.Counts().IssuedTo {
		if to.Replica == replicaName(n) {
			sum.Without += tokens
		}
	}
	return sum
}

// close ends everything.
func (s *stage) close() {
	var all sync.WaitGroup
	for _, replica := range s.replicas {
		all.Go(replica.stop)
	}
	all.Wait()
	if s.store != nil {
		s.store.close()
	}
	for _, platform := range []*passporttest.Server{s.platforms.With, s.platforms.Without} {
		if platform != nil {
			platform.Close()
		}
	}
}

// firstAccount is the id of the first account that the replicas use.
const firstAccount = 102681871

// accountIDs returns n ids. The ids of another set are others.
func accountIDs(n, set int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(firstAccount + 1000*set + i)
	}
	return ids
}

// describe says what the program starts.
func (o options) describe() string {
	store := "The store is in memory."
	if o.redis != "" {
		store = "The store is the Redis at " + o.redis + "."
	}
	return fmt.Sprintf("%d replicas, each a process, use %d accounts. Each request is sent twice: with the store and\n"+
		"without, to a fake of Pismo each. %s", o.replicas, o.accounts, store)
}
