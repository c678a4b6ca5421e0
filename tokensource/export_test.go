package tokensource

import (
	"sync/atomic"
	"time"
)

// Verify lets the fuzzer reach what a Source does with a grant.
func (g Grant) Verify(account Account) (time.Duration, error) {
	lifetime, err := g.verify(account)
	if err != nil {
		return 0, err
	}
	return lifetime, nil
}

// Clocks parts the two clocks of a Source, which synctest moves together.
type Clocks struct{ mono, wall atomic.Int64 }

// PartClocks returns the clocks of s. It must be called before s is used.
func (s *Source) PartClocks() *Clocks {
	c := &Clocks{}
	s.clock = func() instant {
		now := time.Now()
		return instant{
			mono: now.Sub(s.epoch) + time.Duration(c.mono.Load()),
			wall: now.UnixNano() + c.wall.Load(),
		}
	}
	return c
}

// Suspend puts the machine to sleep: the wall clock goes on, the monotonic one
// does not.
func (c *Clocks) Suspend(d time.Duration) { c.wall.Add(int64(d)) }

// SetWall sets the wall clock, by d ahead of where it is.
func (c *Clocks) SetWall(d time.Duration) { c.wall.Add(int64(d)) }

// PassWithWallStopped lets time pass that the wall clock does not show, because it
// was set back by as much.
func (c *Clocks) PassWithWallStopped(d time.Duration) { c.mono.Add(int64(d)) }

// PlantEvicted puts into the map what a caller may find there in the middle of
// an eviction: an entry that is out of service already. The next insertion of
// another account takes it away.
func (s *Source) PlantEvicted(account Account) {
	now := s.now().mono
	s.entries.LoadOrCreate(account, now, func() *entry {
		e := &entry{account: account, evicted: true}
		e.lastUse.Store(int64(now - idleAccount))
		return e
	})
}
