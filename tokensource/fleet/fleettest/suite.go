// SPDX-License-Identifier: Apache-2.0

package fleettest

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// Run tests whether a Store keeps the contract of [fleet.Store]. It calls
// newStore once for each part of the suite. The stores may share their data:
// the suite uses other names each time. With a Store on the real clock, Run
// takes about three seconds.
func Run(t *testing.T, newStore func(t *testing.T) fleet.Store) {
	t.Helper()
	for name, test := range map[string]func(*suite){
		"value":            (*suite).value,
		"lease":            (*suite).lease,
		"except":           (*suite).except,
		"look":             (*suite).look,
		"late publication": (*suite).late,
		"empty":            (*suite).empty,
		"expiry":           (*suite).expiry,
		"race":             (*suite).race,
		"budget":           (*suite).budget,
		"names":            (*suite).names,
		"binary":           (*suite).binary,
		"canceled":         (*suite).canceled,
	} {
		t.Run(name, func(t *testing.T) {
			test(&suite{T: t, store: newStore(t), name: "p1:" + t.Name() + "/" + strconv.FormatUint(runs.Add(1), 10) + "/" + time.Now().Format(time.RFC3339Nano)})
		})
	}
}

// runs distinguishes the names of parts of the suite.
var runs atomic.Uint64

// long is longer than any part of the suite.
const long = time.Minute

// short is long enough for a Store to keep a value, and short enough to wait.
const short = 500 * time.Millisecond

type suite struct {
	*testing.T

	store fleet.Store
	name  string
}

func (s *suite) claim(ask fleet.Ask) fleet.Claim {
	s.Helper()
	claim, err := s.store.Claim(s.Context(), s.name, ask)
	if err != nil {
		s.Fatal("Claim:", err)
	}
	return claim
}

func (s *suite) publish(want bool, p fleet.Publication) {
	s.Helper()
	stored, err := s.store.Publish(s.Context(), s.name, p)
	if err != nil {
		s.Fatal("Publish:", err)
	}
	if stored != want {
		s.Errorf("Publish by %q stored the value: %v, want %v", p.Owner, stored, want)
	}
}

// wantValue fails the test unless the value lives.
func (s *suite) wantValue(claim fleet.Claim, value string) {
	s.Helper()
	if string(claim.Value) != value || claim.Leased {
		s.Fatalf("the claim got the value %q and a lease %v, want %q and none", claim.Value, claim.Leased, value)
	}
}

// wantLease fails the test unless the claim got the lease, or did not.
func (s *suite) wantLease(claim fleet.Claim, want bool) {
	s.Helper()
	if claim.Leased != want || claim.Value != nil {
		s.Fatalf("the claim got a lease: %v, want %v; and the value %q", claim.Leased, want, claim.Value)
	}
}

func (s *suite) value() {
	s.wantLease(s.claim(fleet.Ask{Owner: "a", Lease: long}), true)
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("one"), TTL: long})
	claim := s.claim(fleet.Ask{Owner: "b", Lease: long})
	s.wantValue(claim, "one")
	if claim.Left <= 0 || claim.Left > long {
		s.Errorf("the value has %v left, want at most %v", claim.Left, long)
	}
	// The publication has ended the lease.
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long, Except: []byte("one")}), true)
}

func (s *suite) lease() {
	s.wantLease(s.claim(fleet.Ask{Owner: "a", Lease: long}), true)
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long}), false)
	s.wantLease(s.claim(fleet.Ask{Owner: "a", Lease: long}), true)
}

func (s *suite) except() {
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("old"), TTL: long})
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long, Except: []byte("old")}), true)
	s.wantLease(s.claim(fleet.Ask{Owner: "c", Lease: long, Except: []byte("old")}), false)
	s.wantValue(s.claim(fleet.Ask{Owner: "c", Lease: long}), "old")
	s.publish(true, fleet.Publication{Owner: "b", Value: []byte("new"), TTL: long})
	s.wantValue(s.claim(fleet.Ask{Owner: "c", Lease: long, Except: []byte("old")}), "new")
}

func (s *suite) look() {
	s.wantLease(s.claim(fleet.Ask{Owner: "a"}), false)
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long}), true)
}

// late is a publication after another one.
func (s *suite) late() {
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("first"), TTL: long})
	s.publish(false, fleet.Publication{Owner: "b", Value: []byte("late"), TTL: long})
	s.publish(false, fleet.Publication{Owner: "b", Replaces: []byte("other"), Value: []byte("late"), TTL: long})
	s.wantValue(s.claim(fleet.Ask{Owner: "c", Lease: long}), "first")
	s.wantLease(s.claim(fleet.Ask{Owner: "c", Lease: long, Except: []byte("first")}), true)
	s.publish(true, fleet.Publication{Owner: "b", Replaces: []byte("first"), Value: []byte("second"), TTL: long})
	s.wantLease(s.claim(fleet.Ask{Owner: "d", Lease: long, Except: []byte("second")}), false) // It is still c's.
	s.publish(true, fleet.Publication{Owner: "c", Value: []byte("third"), TTL: long})
	s.wantValue(s.claim(fleet.Ask{Owner: "d", Lease: long}), "third")
}

// empty is a publication that only ends the lease.
func (s *suite) empty() {
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("old"), TTL: long})
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long, Except: []byte("old")}), true)
	s.publish(false, fleet.Publication{Owner: "c"})
	s.wantLease(s.claim(fleet.Ask{Owner: "c", Lease: long, Except: []byte("old")}), false)
	s.publish(false, fleet.Publication{Owner: "b"})
	s.wantValue(s.claim(fleet.Ask{Owner: "c", Lease: long}), "old")
	s.wantLease(s.claim(fleet.Ask{Owner: "c", Lease: long, Except: []byte("old")}), true)
}

func (s *suite) expiry() {
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("old"), TTL: short})
	s.wantLease(s.claim(fleet.Ask{Owner: "a", Lease: short, Except: []byte("old")}), true)
	time.Sleep(2 * short)
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long}), true)
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("late"), TTL: long}) // There is no other.
	s.wantValue(s.claim(fleet.Ask{Owner: "c", Lease: long}), "late")
}

// race has many owners claim at once.
func (s *suite) race() {
	var leases atomic.Int64
	var owners sync.WaitGroup
	for i := range 50 {
		owners.Go(func() {
			claim, err := s.store.Claim(s.Context(), s.name, fleet.Ask{Owner: strconv.Itoa(i), Lease: long})
			if err != nil {
				s.Error("Claim:", err)
			}
			if claim.Leased {
				leases.Add(1)
			}
		})
	}
	owners.Wait()
	if n := leases.Load(); n != 1 {
		s.Errorf("%d owners hold the lease, want one", n)
	}
}

func (s *suite) budget() {
	const refill = time.Second
	take := func() time.Duration {
		s.Helper()
		wait, err := s.store.Take(s.Context(), s.name, 3, refill)
		if err != nil {
			s.Fatal("Take:", err)
		}
		return wait
	}
	for range 3 {
		if wait := take(); wait != 0 {
			s.Fatalf("the full budget says to wait %v", wait)
		}
	}
	wait := take()
	if wait <= 0 || wait > refill {
		s.Fatalf("the empty budget says to wait %v, want at most %v", wait, refill)
	}
	time.Sleep(wait + refill/20)
	if wait := take(); wait != 0 {
		s.Errorf("after the wait, the budget says to wait %v", wait)
	}
}

// names has values under different names.
func (s *suite) names() {
	s.publish(true, fleet.Publication{Owner: "a", Value: []byte("one"), TTL: long})
	s.name += "2"
	s.wantLease(s.claim(fleet.Ask{Owner: "a", Lease: long}), true)
}

// binary has a value of every byte, and a long one.
func (s *suite) binary() {
	value := make([]byte, 8192)
	for i := range value {
		value[i] = byte(i)
	}
	s.publish(true, fleet.Publication{Owner: "a", Value: value, TTL: long})
	if claim := s.claim(fleet.Ask{Owner: "b"}); !bytes.Equal(claim.Value, value) {
		s.Error("the value has changed")
	}
	s.wantLease(s.claim(fleet.Ask{Owner: "b", Lease: long, Except: value}), true)
}

// canceled has a context that is done.
func (s *suite) canceled() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.store.Claim(ctx, s.name, fleet.Ask{Owner: "a", Lease: long}); err == nil {
		s.Error("Claim with a canceled context returned no error")
	}
	if _, err := s.store.Publish(ctx, s.name, fleet.Publication{Owner: "a", Value: []byte("x"), TTL: long}); err == nil {
		s.Error("Publish with a canceled context returned no error")
	}
	if _, err := s.store.Take(ctx, s.name, 1, long); err == nil {
		s.Error("Take with a canceled context returned no error")
	}
}
