// SPDX-License-Identifier: Apache-2.0

// Package storagestore keeps the shared tokens of a fleet in Caddy's storage.
//
// It is weaker than Redis. The storage has no clock and drops no value: a
// record states when it ends, by the clock of the process that wrote it. So the
// clocks must agree within a few seconds, and a token ends early by a margin.
// The storage has no transactions: a record is read and written under a lock,
// and a process that finds the lock taken does not wait for it.
package storagestore

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// Folder is the folder of all records in the storage.
const Folder = "pismo/fleet"

const (
	// margin is by how much a token ends early: the clocks of the processes may
	// differ.
	margin = 30 * time.Second
	// marginFrom is the least life of a value that ends early. A token lives
	// longer. The shared failures do not: a margin would be longer than their
	// cooldown.
	marginFrom = 5 * time.Minute
	// lockPatience is how long an operation waits for the lock of a record.
	// Some storages look once a second whether a lock is free.
	lockPatience = 20 * time.Millisecond
	// maxSkew is by how much a record may be newer than this process's clock.
	maxSkew = 10 * time.Second
)

// The errors of a Store. Their texts are safe to log.
var (
	errClock  = tokensource.SafeError("a record is newer than the clock of this machine: the clocks of the fleet differ", nil)
	errLocked = tokensource.SafeError("another process holds the lock of the record", nil)
)

// A Store is a [fleet.Store] in Caddy's storage. It is safe for concurrent use.
type Store struct{ storage certmagic.Storage }

// New returns a Store in storage.
func New(storage certmagic.Storage) *Store { return &Store{storage} }

// A record is what the storage has under a name. Instants are in milliseconds
// since 1970.
type record struct {
	Written int64  `json:"written"`
	Value   []byte `json:"value,omitempty"`
	Until   int64  `json:"until,omitempty"` // the end of Value
	Life    int64  `json:"life,omitempty"`  // of Value, in milliseconds
	Owner   string `json:"owner,omitempty"`
	Leased  int64  `json:"leased,omitempty"` // the end of the lease
	Full    int64  `json:"full,omitempty"`   // when the budget is full
}

// left returns how long the value lives, at most the life that it was published
// with. Package fleet takes a longer life for the work of someone who tampers
// with the store. The clock of this process may only be slow.
func (r *record) left(now time.Time) time.Duration {
	if len(r.Value) == 0 {
		return 0
	}
	life := time.Duration(r.Life) * time.Millisecond
	left := min(time.Duration(r.Until-now.UnixMilli())*time.Millisecond, life)
	if life >= marginFrom {
		left -= margin
	}
	return left
}

// held reports whether an owner other than this one holds the lease.
func (r *record) held(owner string, now time.Time) bool {
	return r.Leased > now.UnixMilli() && r.Owner != owner
}

// Claim implements [fleet.Store].
func (s *Store) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	var claim fleet.Claim
	answered := func(r *record, now time.Time) bool {
		if left := r.left(now); left > 0 && !bytes.Equal(r.Value, ask.Except) {
			claim = fleet.Claim{Value: r.Value, Left: left}
			return true
		}
		return ask.Lease <= 0 || r.held(ask.Owner, now)
	}
	// Most claims need no lock.
	r, err := s.load(ctx, name)
	if err != nil || answered(r, time.Now()) {
		return claim, err
	}
	err = s.update(ctx, name, func(r *record, now time.Time) bool {
		if answered(r, now) {
			return false
		}
		r.Owner, r.Leased = ask.Owner, now.Add(ask.Lease).UnixMilli()
		claim.Leased = true
		return true
	})
	if errors.Is(err, errLocked) { // The process that holds the lock may get the lease.
		return fleet.Claim{}, nil
	}
	if err != nil {
		return fleet.Claim{}, err
	}
	return claim, nil
}

// Publish implements [fleet.Store].
func (s *Store) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	for {
		stored := false
		err := s.update(ctx, name, func(r *record, now time.Time) bool {
			mine := r.Leased > now.UnixMilli() && r.Owner == p.Owner
			living := r.left(now) > 0
			stored = len(p.Value) > 0 && (mine || !living || bytes.Equal(r.Value, p.Replaces))
			if stored {
				r.Value, r.Until, r.Life = p.Value, now.Add(p.TTL).UnixMilli(), p.TTL.Milliseconds()
			}
			if mine {
				r.Owner, r.Leased = "", 0
			}
			return stored || mine
		})
		if !errors.Is(err, errLocked) || ctx.Err() != nil {
			return stored && err == nil, err
		}
	}
}

// Take implements [fleet.Store]. Its unit is a millisecond.
func (s *Store) Take(ctx context.Context, name string, burst int, refill time.Duration) (time.Duration, error) {
	for {
		var wait time.Duration
		err := s.update(ctx, name, func(r *record, now time.Time) bool {
			most := now.Add(time.Duration(burst) * refill).UnixMilli()
			full := max(min(r.Full, most), now.UnixMilli()) + max(refill.Milliseconds(), 1)
			if wait = time.Duration(full-most) * time.Millisecond; wait > 0 {
				return false
			}
			r.Full, wait = full, 0
			return true
		})
		if !errors.Is(err, errLocked) || ctx.Err() != nil {
			return wait, err
		}
	}
}

// update reads a record under its lock, and writes it if change says so.
func (s *Store) update(ctx context.Context, name string, change func(r *record, now time.Time) bool) error {
	if err := s.lock(ctx, name); err != nil {
		return err
	}
	defer func() { _ = s.storage.Unlock(context.WithoutCancel(ctx), key(name)) }() // A lock that stays gets stale.
	r, err := s.load(ctx, name)
	if err != nil {
		return err
	}
	now := time.Now()
	if !change(r, now) {
		return nil
	}
	r.Written = now.UnixMilli()
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return storageError("write", s.storage.Store(ctx, key(name), content))
}

// lock locks a record, or returns errLocked.
func (s *Store) lock(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	locked, err := s.tryLock(brief, name)
	switch {
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	case err != nil && brief.Err() == nil:
		return storageError("lock", err)
	case !locked:
		return errLocked
	}
	return nil
}

func (s *Store) tryLock(ctx context.Context, name string) (bool, error) {
	if try, ok := s.storage.(certmagic.TryLocker); ok {
		return try.TryLock(ctx, key(name))
	}
	err := s.storage.Lock(ctx, key(name))
	return err == nil, err
}

// load returns a record. A record that does not exist, or that cannot be read,
// is empty.
func (s *Store) load(ctx context.Context, name string) (*record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, err := s.storage.Load(ctx, key(name))
	if errors.Is(err, fs.ErrNotExist) {
		return new(record), nil
	}
	if err != nil {
		return nil, storageError("read", err)
	}
	r := new(record)
	if json.Unmarshal(content, r) != nil {
		return new(record), nil //nolint:nilerr // The next publication replaces it.
	}
	if time.UnixMilli(r.Written).After(time.Now().Add(maxSkew)) {
		return nil, errClock
	}
	return r, nil
}

// storageError returns the error of an operation, or nil. The text of the
// storage's error may contain anything, so only that of a system call's error
// is shown.
func storageError(operation string, err error) error {
	if err == nil {
		return nil
	}
	reason := "it returned an error"
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		reason = errno.Error()
	}
	return tokensource.SafeError("Caddy's storage cannot "+operation+" a record: "+reason, err)
}

// Sweep deletes the records that have ended.
func (s *Store) Sweep(ctx context.Context) error {
	keys, err := s.storage.List(ctx, Folder, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		content, err := s.storage.Load(ctx, key)
		if err != nil {
			continue // Another process may have deleted it.
		}
		var r record
		if json.Unmarshal(content, &r) != nil || r.ended(time.Now()) {
			_ = s.storage.Delete(ctx, key) // The next sweep tries again.
		}
	}
	return nil
}

// sweepMargin is how long a record stays after its end.
const sweepMargin = 10 * time.Minute

// ended reports whether nothing in a record matters any more.
func (r *record) ended(now time.Time) bool {
	return max(r.Until, r.Leased, r.Full) < now.Add(-sweepMargin).UnixMilli()
}

// key returns the key of a record. Names have characters that some storages
// change.
func key(name string) string {
	return Folder + "/" + base64.RawURLEncoding.EncodeToString([]byte(name)) + ".json"
}
