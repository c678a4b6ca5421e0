// SPDX-License-Identifier: Apache-2.0

package fleettest

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// Swap moves each living value under the name of another one, as somebody with
// access to the Store can do. With fewer than two values it changes nothing.
func (m *Memory) Swap() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	names := slices.Sorted(maps.Keys(m.entries))
	names = slices.DeleteFunc(names, func(name string) bool { return m.entries[name].living(now) == nil })
	if len(names) < 2 {
		return
	}
	first := m.entries[names[0]].value
	for i, name := range names[1:] {
		m.entries[names[i]].value = m.entries[name].value
	}
	m.entries[names[len(names)-1]].value = first
}

// RollBack brings values of an earlier time back, for example those that
// Values returned then. Each lives for ttl from now.
func (m *Memory) RollBack(values map[string][]byte, ttl time.Duration) {
	for name, value := range values {
		m.Poison(name, value, ttl)
	}
}

// SetLies makes the next calls answer what is not true. Each claim that finds
// no value gets the lease, even if another owner holds it. Each value lives for
// a year. Each publication is stored, but the value is dropped. Each budget is
// empty for an hour.
func (m *Memory) SetLies(lies bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lies = lies
}

const (
	falseLife = 365 * 24 * time.Hour
	falseWait = time.Hour
)

// falseClaim is the answer of Claim while the Memory lies. The caller holds the
// lock.
func (m *Memory) falseClaim(e *entry, ask fleet.Ask) fleet.Claim {
	if e.value != nil && !bytes.Equal(e.value, ask.Except) {
		return fleet.Claim{Value: bytes.Clone(e.value), Left: falseLife}
	}
	return fleet.Claim{Leased: ask.Lease > 0}
}
