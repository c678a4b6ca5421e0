// SPDX-License-Identifier: Apache-2.0

package storagestore

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	return New(&certmagic.FileStorage{Path: t.TempDir()})
}

// lockOnly is a storage that does not try locks.
type lockOnly struct{ certmagic.Storage }

// TestRun_AcceptsCaddysStorage proves that the interface of a store is not
// bound to Redis.
func TestRun_AcceptsCaddysStorage(t *testing.T) {
	t.Run("with TryLock", func(t *testing.T) {
		fleettest.Run(t, func(t *testing.T) fleet.Store { return newStore(t) })
	})
	t.Run("without", func(t *testing.T) {
		fleettest.Run(t, func(t *testing.T) fleet.Store {
			return New(lockOnly{&certmagic.FileStorage{Path: t.TempDir()}})
		})
	})
}

func publish(t *testing.T, s *Store, ttl time.Duration) {
	t.Helper()
	stored, err := s.Publish(t.Context(), "p1:name", fleet.Publication{Owner: "a", Value: []byte("value"), TTL: ttl})
	if err != nil || !stored {
		t.Fatalf("the value was stored: %v, error %v", stored, err)
	}
}

// change changes the record as a process with another clock writes it.
func change(t *testing.T, s *Store, by func(*record)) {
	t.Helper()
	r, err := s.load(t.Context(), "p1:name")
	if err != nil {
		t.Fatal(err)
	}
	by(r)
	content, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.storage.Store(t.Context(), key("p1:name"), content); err != nil {
		t.Fatal(err)
	}
}

func TestStore_EndsEarly(t *testing.T) {
	s := newStore(t)
	publish(t, s, 10*time.Minute)
	claim, err := s.Claim(t.Context(), "p1:name", fleet.Ask{Owner: "b"})
	if err != nil || claim.Left > 570*time.Second || claim.Left < 560*time.Second {
		t.Errorf("a value of 10 minutes has %v left, want 30 s less; error %v", claim.Left, err)
	}
}

// A slow clock must not look like someone who tampers with the store. The
// margin of a token would be longer than the cooldown of a failure.
func TestStore_ShortValueEndsOnTime(t *testing.T) {
	s := newStore(t)
	publish(t, s, time.Minute)
	for name, ahead := range map[string]time.Duration{"the same clock": 0, "a clock that is ahead": 9 * time.Second} {
		change(t, s, func(r *record) {
			r.Written += ahead.Milliseconds()
			r.Until += ahead.Milliseconds()
		})
		claim, err := s.Claim(t.Context(), "p1:name", fleet.Ask{Owner: "b"})
		if err != nil || claim.Left > time.Minute || claim.Left < 50*time.Second {
			t.Errorf("%s: a value of a minute has %v left, error %v", name, claim.Left, err)
		}
	}
}

// failing is a storage whose error contains a password.
type failing struct{ certmagic.Storage }

func (failing) Load(context.Context, string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: "postgres://user:hunter2@db", Err: syscall.EACCES}
}

func TestStore_ErrorTextIsSafe(t *testing.T) {
	_, err := New(failing{newStore(t).storage}).Claim(t.Context(), "p1:name", fleet.Ask{Owner: "b"})
	if text := tokensource.SafeText(err); text != "Caddy's storage cannot read a record: permission denied" {
		t.Errorf("the text is %q", text)
	}
}

func TestStore_RefusesAnotherClock(t *testing.T) {
	s := newStore(t)
	publish(t, s, 10*time.Minute)
	change(t, s, func(r *record) { r.Written += time.Minute.Milliseconds() })
	_, err := s.Claim(t.Context(), "p1:name", fleet.Ask{Owner: "b"})
	if err == nil || !strings.Contains(tokensource.SafeText(err), "clocks of the fleet differ") {
		t.Errorf("got error %v, want that the clocks differ", err)
	}
}

func TestStore_DamagedRecordIsNone(t *testing.T) {
	s := newStore(t)
	if err := s.storage.Store(t.Context(), key("p1:name"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(t.Context(), "p1:name", fleet.Ask{Owner: "b", Lease: time.Minute})
	if err != nil || !claim.Leased {
		t.Errorf("got the lease: %v, error %v", claim.Leased, err)
	}
}

// A process that dies with a lock does not make the others wait for long.
func TestStore_LockedRecordMakesNobodyWait(t *testing.T) {
	s := newStore(t)
	if err := s.storage.Lock(t.Context(), key("p1:name")); err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(t.Context(), "p1:name", fleet.Ask{Owner: "b", Lease: time.Minute})
	if err != nil || claim.Leased {
		t.Errorf("a locked record gave the lease: %v, error %v", claim.Leased, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Publish(ctx, "p1:name", fleet.Publication{Owner: "b", Value: []byte("x"), TTL: time.Minute}); err == nil {
		t.Error("a locked record was changed")
	}
}

func TestSweep_DeletesWhatHasEnded(t *testing.T) {
	s := newStore(t)
	if err := s.Sweep(t.Context()); err != nil {
		t.Errorf("an empty storage: %v", err)
	}
	publish(t, s, time.Minute)
	if _, err := s.Take(t.Context(), "p1:budget", 3, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil || !s.storage.Exists(t.Context(), key("p1:name")) || !s.storage.Exists(t.Context(), key("p1:budget")) {
		t.Fatalf("a living record was deleted, error %v", err)
	}
	change(t, s, func(r *record) { r.Until -= time.Hour.Milliseconds() })
	if err := s.Sweep(t.Context()); err != nil || s.storage.Exists(t.Context(), key("p1:name")) {
		t.Errorf("a record that has ended stays, error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled sweep returned %v", err)
	}
}

// Names and values are opaque already. The key of a record must be a file name
// everywhere.
func TestKey_IsAFileName(t *testing.T) {
	if k := key("p1:a/b\\c"); strings.ContainsAny(strings.TrimPrefix(k, Folder+"/"), `/\:`) {
		t.Errorf("the key is %s", k)
	}
}
