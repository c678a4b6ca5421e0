// SPDX-License-Identifier: Apache-2.0

// Package redisstore keeps the shared tokens of package fleet in Redis or
// Valkey.
//
// An account takes a key for its token, and for a short time keys for its
// lease, its budget and its failures. Every key expires by itself. Persistence
// is not needed: a Redis that starts empty costs one issuance for each account.
// Use maxmemory-policy volatile-ttl.
//
// The user needs these permissions, with the default prefix:
//
//	resetkeys ~pismo:* -@all +eval +evalsha +get +set +pttl +del +ping +hello +auth +select
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// The scripts. The keys of each have the same hash tag, and so are in one slot
// of a cluster. Each script is atomic. They use PTTL, so that only the clock of
// the server counts.
var (
	claimScript = rueidis.NewLuaScript(`
local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[3] then
  return {value, redis.call('PTTL', KEYS[1]), 0}
end
local lease = tonumber(ARGV[2])
if lease <= 0 then return {'', 0, 0} end
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return {'', 0, 0} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', lease)
return {'', 0, 1}`)

	publishScript = rueidis.NewLuaScript(`
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
return stored`)

	// The time to live of the key is the time until the budget is full.
	takeScript = rueidis.NewLuaScript(`
local burst, refill = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.min(math.max(redis.call('PTTL', KEYS[1]), 0), burst * refill) + refill
local wait = full - burst * refill
if wait > 0 then return wait end
redis.call('SET', KEYS[1], '', 'PX', full)
return 0`)
)

// A Store is a [fleet.Store] in Redis or Valkey. Make one with [New]. It is
// safe for concurrent use.
type Store struct {
	config    Config
	connector connector
}

// New returns a Store. It contacts no server: the Store connects when it is
// used first, and again after a failure. The error reports every fault in the
// configuration.
func New(config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Store{config: config}
	s.connector.connect = func() (rueidis.Client, error) { return rueidis.NewClient(config.options()) }
	return s, nil
}

// Close ends the connections. It does not close a Config.Client.
func (s *Store) Close() { s.connector.close() }

// Claim implements [fleet.Store].
func (s *Store) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	answer, err := s.exec(ctx, claimScript, []string{s.key(name, "value"), s.key(name, "lease")},
		ask.Owner, milliseconds(ask.Lease), rueidis.BinaryString(ask.Except)).ToArray()
	if err != nil {
		return fleet.Claim{}, storeError("claim", err)
	}
	if len(answer) != 3 {
		return fleet.Claim{}, storeError("claim", errNonsense)
	}
	value, valueErr := answer[0].ToString()
	left, leftErr := answer[1].AsInt64()
	leased, leasedErr := answer[2].AsInt64()
	if err := errors.Join(valueErr, leftErr, leasedErr); err != nil {
		return fleet.Claim{}, storeError("claim", err)
	}
	claim := fleet.Claim{Left: time.Duration(left) * time.Millisecond, Leased: leased == 1}
	if value != "" {
		claim.Value = []byte(value)
	}
	return claim, nil
}

// Publish implements [fleet.Store].
func (s *Store) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	stored, err := s.exec(ctx, publishScript, []string{s.key(name, "value"), s.key(name, "lease")},
		p.Owner, rueidis.BinaryString(p.Replaces), rueidis.BinaryString(p.Value), milliseconds(max(p.TTL, time.Millisecond))).AsInt64()
	if err != nil {
		return false, storeError("publish", err)
	}
	return stored == 1, nil
}

// Take implements [fleet.Store]. Its unit is a millisecond.
func (s *Store) Take(ctx context.Context, name string, burst int, refill time.Duration) (time.Duration, error) {
	wait, err := s.exec(ctx, takeScript, []string{s.key(name, "budget")},
		strconv.Itoa(burst), milliseconds(max(refill, time.Millisecond))).AsInt64()
	if err != nil {
		return 0, storeError("take", err)
	}
	return time.Duration(wait) * time.Millisecond, nil
}

// exec runs a script by its hash, or by its text if the server does not know
// the hash.
func (s *Store) exec(ctx context.Context, script *rueidis.Lua, keys []string, args ...string) result {
	client, err := s.client(ctx)
	if err != nil {
		return result{err: err}
	}
	return result{RedisResult: script.Exec(ctx, client, keys, args)}
}

// client returns the client of the configuration or of the Store itself.
func (s *Store) client(ctx context.Context) (rueidis.Client, error) {
	if s.config.Client != nil {
		return s.config.Client, ctx.Err()
	}
	return s.connector.get(ctx)
}

// key returns a key of Redis. The braces are the hash tag of a cluster.
func (s *Store) key(name, kind string) string {
	prefix := s.config.Prefix
	if prefix == "" {
		prefix = defaultPrefix
	}
	return prefix + "{" + name + "}:" + kind
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

var errNonsense = errors.New("the server's answer does not have the form that the script gives it")

// storeError says which call failed, and why.
func storeError(call string, err error) error { return fmt.Errorf("redisstore: %s: %w", call, err) }

// A result is the result of a script, or the error that prevented it.
type result struct {
	rueidis.RedisResult

	err error
}

func (r result) ToArray() ([]rueidis.RedisMessage, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.RedisResult.ToArray()
}

func (r result) AsInt64() (int64, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.RedisResult.AsInt64()
}
