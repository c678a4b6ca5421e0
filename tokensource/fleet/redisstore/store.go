// SPDX-License-Identifier: Apache-2.0

// Package redisstore keeps the shared tokens of package fleet in Redis or
// Valkey.
//
// An account takes a key for its token, and for a short time keys for its
// lease, its budget and its failures. Every key expires by itself. Persistence
// is not needed: a Redis that starts empty costs one issuance for each account.
// Use maxmemory-policy volatile-ttl.
//
// The client, go-redis, writes a line to standard error when a connection
// fails. redis.SetLogger and logging.Disable change that for the program.
//
// The user needs these permissions, with the default prefix:
//
//	resetkeys ~pismo:* -@all +eval +evalsha +get +set +pttl +del +select
package redisstore

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// The scripts. The keys of each have the same hash tag, and so are in one slot
// of a cluster. Each script is atomic. They use PTTL, so that only the clock of
// the server counts. The last argument is the number of the call. The answer
// begins with it: a connection on which answers are out of order shows itself.
var (
	claimScript = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[3] then
  return {ARGV[4], 0, redis.call('PTTL', KEYS[1]), value}
end
local lease = tonumber(ARGV[2])
if lease <= 0 then return {ARGV[4], 0, 0, ''} end
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return {ARGV[4], 0, 0, ''} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', lease)
return {ARGV[4], 1, 0, ''}`)

	publishScript = redis.NewScript(`
local mine = redis.call('GET', KEYS[2]) == ARGV[1]
local stored = 0
if ARGV[3] ~= '' then
  local old = redis.call('GET', KEYS[1])
  if mine or not old or old == ARGV[2] then
    redis.call('SET', KEYS[1], ARGV[3], 'PX', tonumber(ARGV[4]))
    stored = 1
  end;
end
if mine then redis.call('DEL', KEYS[2]) end
return {ARGV[5], stored}`)

	// The time to live of the key is the time until the budget is full.
	takeScript = redis.NewScript(`
local burst, refill = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.min(math.max(redis.call('PTTL', KEYS[1]), 0), burst * refill) + refill
local wait = full - burst * refill
if wait > 0 then return {ARGV[3], wait} end
redis.call('SET', KEYS[1], '', 'PX', full)
return {ARGV[3], 0}`)
)

// A Store is a [fleet.Store] in Redis or Valkey. Make one with [New]. It is
// safe for concurrent use.
type Store struct {
	config Config
	calls  atomic.Uint64 // the number of calls
	own    atomic.Pointer[ownClient]
	closed atomic.Bool
}

// New returns a Store. It contacts no server: the Store connects when it is
// used first, and again after a failure. The error reports every fault in the
// configuration.
func New(config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.Prefix == "" {
		config.Prefix = defaultPrefix
	}
	s := &Store{config: config}
	if config.Client == nil {
		s.own.Store(&ownClient{redis.NewUniversalClient(config.options())})
	}
	return s, nil
}

// Close ends the connections. It does not close a Config.Client.
func (s *Store) Close() error {
	s.closed.Store(true)
	if own := s.own.Load(); own != nil {
		return own.Close()
	}
	return nil
}

// Claim implements [fleet.Store].
func (s *Store) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	answer, err := s.run(ctx, claimScript, name, []string{"value", "lease"},
		ask.Owner, ask.Lease.Milliseconds(), ask.Except)
	if err != nil {
		return fleet.Claim{}, err
	}
	if len(answer) != 3 {
		return fleet.Claim{}, errNonsense
	}
	leased, ok1 := answer[0].(int64)
	left, ok2 := answer[1].(int64)
	value, ok3 := answer[2].(string)
	if !ok1 || !ok2 || !ok3 {
		return fleet.Claim{}, errNonsense
	}
	claim := fleet.Claim{Left: time.Duration(left) * time.Millisecond, Leased: leased == 1}
	if value != "" {
		claim.Value = []byte(value)
	}
	return claim, nil
}

// Publish implements [fleet.Store].
func (s *Store) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	stored, err := s.runForNumber(ctx, publishScript, name, []string{"value", "lease"},
		p.Owner, p.Replaces, p.Value, max(p.TTL, time.Millisecond).Milliseconds())
	return stored == 1, err
}

// Take implements [fleet.Store]. Its unit is a millisecond.
func (s *Store) Take(ctx context.Context, name string, burst int, refill time.Duration) (time.Duration, error) {
	wait, err := s.runForNumber(ctx, takeScript, name, []string{"budget"},
		burst, max(refill, time.Millisecond).Milliseconds())
	return time.Duration(wait) * time.Millisecond, err
}

// runForNumber runs a script whose answer is a number.
func (s *Store) runForNumber(ctx context.Context, script *redis.Script, name string, kinds []string, args ...any) (int64, error) {
	answer, err := s.run(ctx, script, name, kinds, args...)
	if err != nil {
		return 0, err
	}
	if len(answer) != 1 {
		return 0, errNonsense
	}
	number, ok := answer[0].(int64)
	if !ok {
		return 0, errNonsense
	}
	return number, nil
}

// run runs a script by its hash, or by its text if the server does not know the
// hash. The keys have the name as their hash tag, and so are in one slot of a
// cluster.
func (s *Store) run(ctx context.Context, script *redis.Script, name string, kinds []string, args ...any) ([]any, error) {
	keys := make([]string, len(kinds))
	for i, kind := range kinds {
		keys[i] = s.config.Prefix + "{" + name + "}:" + kind
	}
	own, client := s.own.Load(), s.config.Client
	if own != nil {
		client = own
	}
	call := strconv.FormatUint(s.calls.Add(1), 10)
	answer, err := script.Run(ctx, client, keys, append(args, call)...).Result()
	if err != nil {
		return nil, explain(err)
	}
	elements, _ := answer.([]any)
	if len(elements) == 0 || elements[0] != call {
		s.reconnect(own)
		return nil, errNonsense
	}
	return elements[1:], nil
}

// reconnect replaces the connections of a client that got the answer to another
// call. They would stay out of order.
func (s *Store) reconnect(old *ownClient) {
	if old == nil {
		return
	}
	next := &ownClient{redis.NewUniversalClient(s.config.options())}
	if !s.own.CompareAndSwap(old, next) {
		_ = next.Close() // Another call has replaced them.
		return
	}
	_ = old.Close() // Calls that still run fail.
	if s.closed.Load() {
		_ = next.Close() // Close may have closed only the old one.
	}
}
