// SPDX-License-Identifier: Apache-2.0

package lru_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/internal/lru"
)

const idle = 15 * time.Minute

// An entry has the time of its last use. It refuses eviction while it is busy.
type entry struct {
	key     int
	used    atomic.Int64
	busy    atomic.Bool
	evicted atomic.Bool
}

func (e *entry) Key() int { return e.key }

// hash is a poor hash: eight keys have the same.
func hash(key int) uint64 { return uint64(key) / 8 * 0x9e3779b97f4a7c15 >> 20 }

func (e *entry) LastUse() time.Duration { return time.Duration(e.used.Load()) }

func (e *entry) Evict() bool {
	if e.busy.Load() {
		return false
	}
	e.evicted.Store(true)
	return true
}

// use uses the entry for key. It creates the entry if it is missing.
func use(m *lru.Map[int, entry, *entry], key int, now time.Duration) *entry {
	e := m.LoadOrCreate(key, now, func() *entry { return &entry{key: key} })
	e.used.Store(int64(now))
	return e
}

func TestMap_CreatesAnEntryOnce(t *testing.T) {
	m := lru.New[int, entry](10, idle, hash)
	if e, ok := m.Load(1); ok || e != nil {
		t.Errorf("an empty map holds %v", e)
	}
	first := use(m, 1, 0)
	again := m.LoadOrCreate(1, 0, func() *entry { t.Error("created again"); return nil })
	if loaded, ok := m.Load(1); !ok || loaded != first || again != first || m.Len() != 1 {
		t.Errorf("got %v and %v, want %v; %d entries", loaded, again, first, m.Len())
	}
}

func TestMap_BoundHolds(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 8, 9, 100} {
		m := lru.New[int, entry](limit, idle, hash)
		for i := range 1000 {
			e := use(m, i, time.Duration(i)*time.Millisecond)
			if want := min(i+1, limit); m.Len() != want {
				t.Fatalf("limit %d: %d entries after %d insertions", limit, m.Len(), i+1)
			}
			if loaded, _ := m.Load(i); loaded != e {
				t.Fatalf("limit %d: the newest entry is missing", limit)
			}
		}
	}
}

func TestMap_EvictedEntryIsGone(t *testing.T) {
	m := lru.New[int, entry](50, idle, hash)
	var all []*entry
	for i := range 500 {
		all = append(all, use(m, i, time.Duration(i)*time.Second))
		kept := 0
		for _, e := range all {
			loaded, ok := m.Load(e.key)
			if ok == e.evicted.Load() || ok && loaded != e {
				t.Fatalf("entry %d: in the map is %v, evicted is %v", e.key, ok, e.evicted.Load())
			}
			if ok {
				kept++
			}
		}
		if kept != m.Len() {
			t.Fatalf("%d entries can be loaded, Len is %d", kept, m.Len())
		}
	}
}

func TestMap_EvictsTheLeastRecentlyUsed(t *testing.T) {
	m := lru.New[int, entry](8, idle, hash) // An insertion examines all 8 entries.
	for i := range 8 {
		use(m, i, time.Duration(i))
	}
	use(m, 0, 100) // Key 1 is the oldest now.
	use(m, 8, 101)
	if _, ok := m.Load(1); ok {
		t.Error("the least recently used entry was kept")
	}
	if _, ok := m.Load(0); !ok {
		t.Error("an entry was removed right after its use")
	}
}

func TestMap_KeepsEntriesInUse(t *testing.T) {
	const limit, hot, rounds = 1000, 200, 5000
	m := lru.New[int, entry](limit, 100*time.Hour, hash)
	created := 0
	use := func(key int, now time.Duration) {
		e := m.LoadOrCreate(key, now, func() *entry { created++; return &entry{key: key} })
		e.used.Store(int64(now))
	}
	for i := range rounds {
		now := time.Duration(i) * time.Second
		use(rand.IntN(hot), now) // Each hot key every 200 s on average.
		use(hot+i, now)          // This key is used once.
	}
	if again := created - rounds - hot; again > rounds/20 {
		t.Errorf("of %d uses, %d did not find their entry", rounds, again)
	}
}

func TestMap_DropsIdleEntries(t *testing.T) {
	m := lru.New[int, entry](1000, idle, hash)
	for i := range 100 {
		use(m, i, 0)
	}
	use(m, 100, idle-1)
	if m.Len() != 101 {
		t.Errorf("%d entries, want 101: none is idle yet", m.Len())
	}
	for i := range 40 { // An insertion removes a few entries.
		before := m.Len()
		use(m, 200+i, idle)
		if removed := before + 1 - m.Len(); removed > 8 {
			t.Errorf("one insertion removed %d entries", removed)
		}
	}
	if m.Len() != 41 {
		t.Errorf("%d entries, want the 41 that are in use", m.Len())
	}
}

func TestMap_KeepsEntriesThatRefuse(t *testing.T) {
	m := lru.New[int, entry](10, idle, hash)
	busy := use(m, 0, 0)
	busy.busy.Store(true)
	for i := range 200 {
		use(m, 1+i, time.Hour+time.Duration(i)) // The busy entry is idle too.
	}
	if loaded, ok := m.Load(0); !ok || loaded != busy {
		t.Error("the busy entry is missing")
	}
	if m.Len() > 10+1 {
		t.Errorf("%d entries, want 10 and the busy one at most", m.Len())
	}
}

func TestMap_BoundHoldsAgain(t *testing.T) {
	m := lru.New[int, entry](10, idle, hash)
	var all []*entry
	for i := range 300 {
		e := use(m, i, time.Duration(i))
		e.busy.Store(true)
		all = append(all, e)
	}
	if m.Len() != 300 {
		t.Fatalf("%d entries, want all 300: none can be evicted", m.Len())
	}
	for _, e := range all {
		e.busy.Store(false)
	}
	use(m, 300, 300)
	if m.Len() != 10 {
		t.Errorf("%d entries, want 10", m.Len())
	}
}

func TestMap_ConcurrentUseIsConsistent(t *testing.T) {
	m := lru.New[int, entry](16, time.Millisecond, hash)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 3000 {
				key := rand.IntN(64)
				if e := use(m, key, time.Duration(n)*time.Microsecond); e.key != key {
					t.Errorf("got entry %d for key %d", e.key, key)
				}
				key = rand.IntN(64)
				if e, ok := m.Load(key); ok {
					if e == nil || e.key != key {
						t.Errorf("loaded entry %v for key %d", e, key)
						return
					}
					e.busy.Store(n%3 == 0)
				}
			}
		})
	}
	all.Wait()
}

// A reader finds every entry that existed before an insertion, and no wrong
// entry.
func TestMap_ReaderNeverMissesAnEntry(t *testing.T) {
	const stay, come = 100, 20_000
	m := lru.New[int, entry](come, idle, hash)
	for key := range stay {
		use(m, key, 0).busy.Store(true)
	}
	var done atomic.Bool
	var coming atomic.Int64 // the key of the insertion in progress
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !done.Load() {
				key := rand.IntN(stay)
				if e, ok := m.Load(key); !ok || e.key != key {
					t.Errorf("key %d: loaded %v, found is %v, want its entry", key, e, ok)
					return
				}
				key = int(coming.Load())
				if e, ok := m.Load(key); ok && e.key != key {
					t.Errorf("key %d: loaded the entry of %d", key, e.key)
					return
				}
			}
		})
	}
	for key := range come { // The table grows from 256 slots to tens of thousands.
		coming.Store(stay + int64(key))
		use(m, stay+key, time.Duration(key))
	}
	done.Store(true)
	readers.Wait()
}

func TestMap_KeyMayComeBack(t *testing.T) {
	m := lru.New[int, entry](1, idle, hash)
	for i := range 1000 {
		e := use(m, i%3, time.Duration(i))
		if loaded, ok := m.Load(i % 3); !ok || loaded != e {
			t.Fatalf("insertion %d: loaded %v, found is %v, want %v", i, loaded, ok, e)
		}
		if e, ok := m.Load((i + 1) % 3); ok || e != nil {
			t.Fatalf("insertion %d: the removed entry is %v", i, e)
		}
	}
}

// Busy entries have exceeded the limit. The entries that can be removed are
// anywhere in the ring, and move during removals.
func TestMap_ShrinksToItsLimit(t *testing.T) {
	for range 2000 {
		m := lru.New[int, entry](2, idle, hash)
		entries := make([]*entry, 4+rand.N(8))
		for i := range entries {
			entries[i] = m.LoadOrCreate(i, 0, func() *entry { return &entry{key: i} })
			entries[i].busy.Store(true)
		}
		const now = time.Hour
		for _, e := range entries {
			e.used.Store(int64(now - rand.N(2*idle)))
			e.busy.Store(rand.N(2) == 0)
		}
		use(m, -1, now)
		for i, e := range entries {
			if loaded, ok := m.Load(i); ok != !e.evicted.Load() || ok && loaded != e || !ok && e.busy.Load() {
				t.Fatalf("entry %d: loaded %v, evicted %v, busy %v", i, ok, e.evicted.Load(), e.busy.Load())
			}
		}
		for _, e := range entries {
			e.busy.Store(false)
		}
		if use(m, -2, now); m.Len() > 2 {
			t.Fatalf("%d entries are left when none is busy, want 2", m.Len())
		}
	}
}

func TestMap_EntriesAreComplete(t *testing.T) {
	m := lru.New[int, entry](10, time.Hour, hash)
	want := map[*entry]bool{}
	for key := range 5 {
		want[use(m, key, 0)] = true
	}
	for _, e := range m.Entries() {
		delete(want, e)
	}
	if len(want) != 0 || len(m.Entries()) != 5 {
		t.Errorf("%d entries, %d missing", len(m.Entries()), len(want))
	}
}
