// SPDX-License-Identifier: Apache-2.0

package fleettest

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// A Memory is a [fleet.Store] in the memory of one process, with faults that a
// test switches on. The zero Memory is empty and healthy. It is safe for
// concurrent use.
type Memory struct {
	mu      sync.Mutex
	fault   Fault
	entries map[string]*entry
	budgets map[string]*backoff.Budget
	epoch   time.Time
	calls   int
	lies    bool
}

type entry struct {
	value  []byte
	until  time.Time
	owner  string
	leased time.Time // until when
}

// A Fault changes a call of a [Memory] before it takes effect. It may wait, for
// example until ctx is done. If it returns an error, the call fails with it and
// changes nothing. op is the name of the method. A Fault must be safe for
// concurrent use.
type Fault func(ctx context.Context, op string) error

// Hang waits until ctx is done. It is a [Fault].
func Hang(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// Fail returns a [Fault] that fails each call with err.
func Fail(err error) Fault {
	return func(context.Context, string) error { return err }
}

// Slow returns a [Fault] that delays each call by d.
func Slow(d time.Duration) Fault {
	return func(ctx context.Context, _ string) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// SetFault makes the next calls meet a fault. With nil they meet none.
func (m *Memory) SetFault(fault Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

// Clear drops everything, as a Store without persistence does when it starts
// again.
func (m *Memory) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries, m.budgets = nil, nil
}

// Calls returns the number of calls so far.
func (m *Memory) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Values returns a copy of the living values by name.
func (m *Memory) Values() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := map[string][]byte{}
	for name, e := range m.entries {
		if value := e.living(time.Now()); value != nil {
			values[name] = bytes.Clone(value)
		}
	}
	return values
}

// Poison replaces the value under a name, and gives it another life. It is what
// somebody with access to the Store can do.
func (m *Memory) Poison(name string, value []byte, ttl time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(name)
	e.value, e.until = bytes.Clone(value), time.Now().Add(ttl)
}

// Claim implements [fleet.Store].
func (m *Memory) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	if err := m.begin(ctx, "Claim"); err != nil {
		return fleet.Claim{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, e := time.Now(), m.entry(name)
	if m.lies {
		return m.falseClaim(e, ask), nil
	}
	if value := e.living(now); value != nil && !bytes.Equal(value, ask.Except) {
		return fleet.Claim{Value: bytes.Clone(value), Left: e.until.Sub(now)}, nil
	}
	if ask.Lease <= 0 || e.heldAt(now) && e.owner != ask.Owner {
		return fleet.Claim{}, nil
	}
	e.owner, e.leased = ask.Owner, now.Add(ask.Lease)
	return fleet.Claim{Leased: true}, nil
}

// Publish implements [fleet.Store].
func (m *Memory) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	if err := m.begin(ctx, "Publish"); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lies {
		return len(p.Value) > 0, nil
	}
	now, e := time.Now(), m.entry(name)
	mine := e.heldAt(now) && e.owner == p.Owner
	old := e.living(now)
	stored := len(p.Value) > 0 && (mine || old == nil || bytes.Equal(old, p.Replaces))
	if stored {
		e.value, e.until = bytes.Clone(p.Value), now.Add(p.TTL)
	}
	if mine {
		e.owner, e.leased = "", time.Time{}
	}
	return stored, nil
}

// Take implements [fleet.Store].
func (m *Memory) Take(ctx context.Context, name string, burst int, refill time.Duration) (time.Duration, error) {
	if err := m.begin(ctx, "Take"); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lies {
		return falseWait, nil
	}
	if m.budgets == nil {
		m.budgets = map[string]*backoff.Budget{}
	}
	if m.epoch.IsZero() {
		m.epoch = time.Now()
	}
	if m.budgets[name] == nil {
		m.budgets[name] = &backoff.Budget{}
	}
	return m.budgets[name].Take(time.Since(m.epoch), burst, refill), nil
}

// begin counts a call, and lets it meet the fault.
func (m *Memory) begin(ctx context.Context, op string) error {
	m.mu.Lock()
	m.calls++
	fault := m.fault
	m.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, op); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// entry returns the entry of a name. The caller holds the lock.
func (m *Memory) entry(name string) *entry {
	if m.entries == nil {
		m.entries = map[string]*entry{}
	}
	e := m.entries[name]
	if e == nil {
		e = &entry{}
		m.entries[name] = e
	}
	return e
}

// living returns the value if it lives, or nil.
func (e *entry) living(now time.Time) []byte {
	if !now.Before(e.until) {
		return nil
	}
	return e.value
}

// heldAt reports whether somebody holds the lease.
func (e *entry) heldAt(now time.Time) bool { return now.Before(e.leased) }
