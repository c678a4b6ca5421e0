// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/pismoauth/pismoauth/internal/lru"
	"github.com/pismoauth/pismoauth/tokensource"
)

const idle = 15 * time.Minute // as in a Source

// A cacheEntry is an entry of the maps of this file.
type cacheEntry struct {
	key     tokensource.Account
	lastUse atomic.Int64 // in seconds, as in a Source
}

func (c *cacheEntry) Key() tokensource.Account { return c.key }

func (c *cacheEntry) LastUse() time.Duration { return time.Duration(c.lastUse.Load()) * time.Second }
func (c *cacheEntry) Evict() bool            { return true }

// touch records the use of an entry. It writes at most once a second.
func (c *cacheEntry) touch(second int64) {
	if c.lastUse.Load() != second {
		c.lastUse.Store(second)
	}
}

// A boundedMap is a map that evicts entries when it is full. The argument
// second is the time.
type boundedMap interface {
	load(key tokensource.Account, second int64) *cacheEntry
	insert(key tokensource.Account, second int64)
	length() int
}

// boundedMaps are the sides. All of them evict idle entries, as a Source
// requires, except otter-size.
var boundedMaps = []struct {
	name string
	make func(limit int) boundedMap
}{
	{"side=lru", newLRU},
	{"side=xsync", newXsync},
	{"side=otter", func(limit int) boundedMap {
		return newOtter(limit, otter.ExpiryAccessing[tokensource.Account, *cacheEntry](idle))
	}},
	{"side=otter-size", func(limit int) boundedMap { return newOtter(limit, nil) }},
}

type lruMap struct {
	entries *lru.Map[tokensource.Account, cacheEntry, *cacheEntry]
}

func newLRU(limit int) boundedMap {
	return lruMap{lru.New[tokensource.Account, cacheEntry](limit, idle, hashAccount)}
}

func (m lruMap) load(key tokensource.Account, second int64) *cacheEntry {
	c, ok := m.entries.Load(key)
	if !ok {
		return nil
	}
	c.touch(second)
	return c
}

func (m lruMap) insert(key tokensource.Account, second int64) {
	m.entries.LoadOrCreate(key, time.Duration(second)*time.Second, newCacheEntry(key, second))
}

func (m lruMap) length() int { return m.entries.Len() }

// An xsyncMap is an lru.Map with an xsync.Map in the place of its table. It has
// the same ring of entries, of which an insertion examines eight.
type xsyncMap struct {
	entries *xsync.Map[tokensource.Account, *cacheEntry]
	limit   int

	mu   sync.Mutex
	ring []ringEntry
	hand int
}

type ringEntry struct {
	key   tokensource.Account
	entry *cacheEntry
}

func newXsync(limit int) boundedMap {
	return &xsyncMap{entries: xsync.NewMap[tokensource.Account, *cacheEntry](), limit: limit}
}

func (m *xsyncMap) load(key tokensource.Account, second int64) *cacheEntry {
	c, ok := m.entries.Load(key)
	if !ok {
		return nil
	}
	c.touch(second)
	return c
}

func (m *xsyncMap) insert(key tokensource.Account, second int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries.Load(key); ok {
		return
	}
	m.makeRoom(second)
	c := newCacheEntry(key, second)()
	m.ring = append(m.ring, ringEntry{key, c})
	m.entries.Store(key, c)
}

func (m *xsyncMap) makeRoom(second int64) {
	oldest := -1
	for range min(8, len(m.ring)) {
		i := m.hand % len(m.ring)
		if time.Duration(second)*time.Second-m.ring[i].entry.LastUse() >= idle {
			m.remove(i)
			oldest = -1
			continue
		}
		if oldest < 0 || m.ring[i].entry.LastUse() < m.ring[oldest].entry.LastUse() {
			oldest = i
		}
		m.hand = i + 1
	}
	if len(m.ring) >= m.limit && oldest >= 0 {
		m.remove(oldest)
	}
}

func (m *xsyncMap) remove(i int) {
	m.entries.Delete(m.ring[i].key)
	last := len(m.ring) - 1
	m.ring[i], m.ring[last] = m.ring[last], ringEntry{}
	m.ring = m.ring[:last]
}

func (m *xsyncMap) length() int { return m.entries.Size() }

// An otterMap is an otter.Cache, which records the last use itself. It cannot
// keep an entry that refuses to be evicted.
type otterMap struct {
	entries *otter.Cache[tokensource.Account, *cacheEntry]
}

func newOtter(limit int, expiry otter.ExpiryCalculator[tokensource.Account, *cacheEntry]) boundedMap {
	return otterMap{otter.Must(&otter.Options[tokensource.Account, *cacheEntry]{
		MaximumSize: limit, ExpiryCalculator: expiry,
	})}
}

func (m otterMap) load(key tokensource.Account, _ int64) *cacheEntry {
	c, _ := m.entries.GetIfPresent(key)
	return c
}

func (m otterMap) insert(key tokensource.Account, second int64) {
	m.entries.SetIfAbsent(key, newCacheEntry(key, second)())
}

func (m otterMap) length() int {
	m.entries.CleanUp() // otter evicts in the background.
	return m.entries.EstimatedSize()
}

func newCacheEntry(key tokensource.Account, second int64) func() *cacheEntry {
	return func() *cacheEntry {
		c := &cacheEntry{key: key}
		c.lastUse.Store(second)
		return c
	}
}

// Look-ups of 100,000 entries, in parallel. Each comes in another second than
// the one before, so that lru and xsync write the last use every time: their
// worst case.
func BenchmarkMapLoad(b *testing.B) {
	accounts, drawn := newAccounts(b, mostAccounts), drawIndices(mostAccounts)
	for _, side := range boundedMaps {
		b.Run(side.name, func(b *testing.B) {
			m := side.make(mostAccounts)
			for _, a := range accounts {
				m.insert(a, 0)
			}
			if m.length() != mostAccounts {
				b.Fatalf("%d entries, want %d", m.length(), mostAccounts)
			}
			runtime.GC()
			b.ReportAllocs()
			const apart = 7919 // Goroutines draw different entries.
			var goroutines atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(goroutines.Add(1)) * apart; pb.Next(); i++ {
					if m.load(accounts[drawn[i&(len(drawn)-1)]], int64(i)) == nil {
						b.Error("an entry is missing")
						return
					}
				}
			})
		})
	}
}

// Insertions into a map that is full with 100,000 entries: each evicts one.
func BenchmarkMapInsert(b *testing.B) {
	accounts := newAccounts(b, 8*mostAccounts)
	for _, side := range boundedMaps {
		b.Run(side.name, func(b *testing.B) {
			m := side.make(mostAccounts)
			for _, a := range accounts[:mostAccounts] {
				m.insert(a, 0)
			}
			runtime.GC()
			b.ReportAllocs()
			i := mostAccounts
			for b.Loop() {
				m.insert(accounts[i%len(accounts)], int64(i>>12))
				i++
			}
			if n := m.length(); n > mostAccounts {
				b.Fatalf("%d entries, want at most %d", n, mostAccounts)
			}
		})
	}
}

// What a map needs for each of 100,000 entries. The entry is included with 24
// bytes, the key without the text that it points to.
func BenchmarkMapMemory(b *testing.B) {
	accounts := newAccounts(b, mostAccounts)
	for _, side := range boundedMaps {
		b.Run(side.name, func(b *testing.B) {
			var each float64
			for b.Loop() {
				idle := liveHeap()
				m := side.make(mostAccounts)
				for _, a := range accounts {
					m.insert(a, 0)
				}
				if m.length() != mostAccounts {
					b.Fatalf("%d entries, want %d", m.length(), mostAccounts)
				}
				each = max(each, float64(liveHeap()-idle)/mostAccounts)
				runtime.KeepAlive(m)
			}
			b.ReportMetric(each, "B/entry")
		})
	}
}

// The misses of a million uses of four times as many accounts as the map holds.
// A use draws an account by Zipf's law. A miss costs an issuance.
func BenchmarkMapEviction(b *testing.B) {
	accounts := newAccounts(b, 4*mostAccounts)
	for _, side := range boundedMaps {
		b.Run(side.name, func(b *testing.B) {
			var missed float64
			for b.Loop() {
				m, misses := side.make(mostAccounts), 0
				zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 100, uint64(len(accounts)-1))
				const uses, warm = 2_000_000, 1_000_000
				for i := range uses {
					key, second := accounts[zipf.Uint64()], int64(i>>12)
					if m.load(key, second) != nil {
						continue
					}
					m.insert(key, second)
					if i >= warm {
						misses++
					}
				}
				missed = 100 * float64(misses) / (uses - warm)
			}
			b.ReportMetric(missed, "%missed")
		})
	}
}
