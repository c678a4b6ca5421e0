// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clocks separates the two clocks of a Source. Package synctest moves both
// together.
type Clocks struct{ mono, wall atomic.Int64 }

// PartClocks returns the clocks of s. Call it before s is used.
func (s *Source) PartClocks() *Clocks {
	c, monotonic, wall := &Clocks{}, s.clock.monotonic, s.clock.wall
	s.clock.monotonic = func() time.Duration { return monotonic() + time.Duration(c.mono.Load()) }
	s.clock.wall = func() int64 { return wall() + c.wall.Load() }
	return c
}

// Suspend acts like a suspended machine: the wall clock advances, and the
// monotonic clock stops. It returns a millisecond later: then the Source must
// have noticed.
func (c *Clocks) Suspend(d time.Duration) { c.SetWall(d) }

// SetWall moves the wall clock forward by d. It returns a millisecond later, as
// Suspend does.
func (c *Clocks) SetWall(d time.Duration) {
	c.wall.Add(int64(d))
	c.mono.Add(int64(time.Millisecond))
}

// PassWithWallStopped advances the monotonic clock by d and leaves the wall
// clock, as if the wall clock had been set back by d.
func (c *Clocks) PassWithWallStopped(d time.Duration) { c.mono.Add(int64(d)) }

// PlantEvicted puts an evicted entry into the map, as a caller can find it
// during an eviction. The next insertion of another account removes the entry.
func (s *Source) PlantEvicted(account Account) {
	now := s.now().mono
	s.entries.LoadOrCreate(account, now, func() *entry {
		e := &entry{account: account, evicted: true}
		e.lastUse.Store(int64(now - idleAccount))
		return e
	})
}

// EntryLayout returns the size of an entry, and the number of its first bytes
// that hold all that a look-up reads.
func EntryLayout() (size, lookup uintptr) {
	var e entry
	return unsafe.Sizeof(e), unsafe.Offsetof(e.current) + unsafe.Sizeof(e.current)
}

// TokenSize returns the size of a Token without its value.
func TokenSize() uintptr { return unsafe.Sizeof(Token{}) }
