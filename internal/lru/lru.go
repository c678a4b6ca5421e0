// Package lru is a concurrent map with a bound, from which roughly the least
// recently used entries fall out.
//
// Look-ups take no lock and write nothing, because they are on the path of
// every request; entries keep the time of their own last use. Only an insertion
// looks for something to remove: there is no timer and no goroutine.
package lru

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// An Entry is what a [Map] holds: a pointer with these methods.
type Entry[E any] interface {
	*E
	// LastUse returns when the entry was last used, as a duration since a
	// moment that all entries of one map share.
	LastUse() time.Duration
	// Evict retires the entry, and reports whether it did: an entry that is
	// being worked on says no, and stays. An entry that was evicted must send
	// those who still hold it back to the map.
	Evict() bool
}

// sample is how many entries an insertion looks at. Eight make the victim one
// of the least used tenth with a probability of more than a half; entries come
// by in turn, so that each is looked at again and again.
const sample = 8

// minSlots is the size of the smallest table.
const minSlots = 16

// A Map is a bounded map of keys K to entries *E. Make one with [New]. Its
// methods may be called concurrently.
type Map[K comparable, E any, V Entry[E]] struct {
	limit int
	idle  time.Duration
	seed  maphash.Seed
	gone  *E // stands in the table for what was removed

	table atomic.Pointer[table[K, E]]

	mu   sync.Mutex
	ring []slot[K, E] // every entry once, in no order
	hand int          // where the next look begins
}

type slot[K comparable, E any] struct {
	key   K
	entry *E
}

// New returns a map of at most limit entries, from which those that have not
// been used for the duration idle may be removed earlier. The bound is exceeded
// only while there are entries that refuse to be evicted.
func New[K comparable, E any, V Entry[E]](limit int, idle time.Duration) *Map[K, E, V] {
	m := &Map[K, E, V]{limit: limit, idle: idle, seed: maphash.MakeSeed(), gone: new(E)}
	m.table.Store(newTable[K, E](minSlots))
	return m
}

// SetLimit changes the limit. A lower one is met when the next entry comes.
func (m *Map[K, E, V]) SetLimit(limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = limit
}

// Load returns the entry for key, if there is one.
func (m *Map[K, E, V]) Load(key K) (V, bool) {
	_, entry := m.table.Load().find(m.seed, key)
	if entry == nil || entry == m.gone {
		return nil, false
	}
	return entry, true
}

// LoadOrCreate returns the entry for key. If there is none, it calls create at
// the instant now, and keeps what that returns. It always takes the map's lock,
// so that an entry that was evicted is gone when it returns.
func (m *Map[K, E, V]) LoadOrCreate(key K, now time.Duration, create func() V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if entry, ok := m.Load(key); ok {
		return entry
	}
	m.makeRoom(now)
	entry := create()
	m.ring = append(m.ring, slot[K, E]{key, entry})
	if m.table.Load().full() {
		m.rebuild()
	} else {
		m.table.Load().put(m.seed, key, entry)
	}
	return entry
}

// rebuild replaces the table by one of the size for what is in the ring. Those
// who read the old one find there what they found before.
func (m *Map[K, E, V]) rebuild() {
	slots := minSlots
	for slots < 2*len(m.ring) {
		slots *= 2
	}
	t := newTable[K, E](slots)
	for _, s := range m.ring {
		t.put(m.seed, s.key, s.entry)
	}
	m.table.Store(t)
}

// Len returns the number of entries.
func (m *Map[K, E, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ring)
}

// Entries returns the entries that there are now, in no order. It copies them:
// what is done with them holds up no one.
func (m *Map[K, E, V]) Entries() []V {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := make([]V, len(m.ring))
	for i, s := range m.ring {
		entries[i] = s.entry
	}
	return entries
}

// makeRoom looks at a few entries and, if the map is full all the same, removes
// the least recently used of them; and again, until there is room. Where all
// refuse, it goes around once.
func (m *Map[K, E, V]) makeRoom(now time.Duration) {
	for refused := 0; refused <= len(m.ring); {
		before := len(m.ring)
		oldest := m.look(now)
		if len(m.ring) >= m.limit && oldest >= 0 {
			m.remove(oldest)
		}
		switch {
		case len(m.ring) < m.limit:
			return
		case len(m.ring) < before:
			refused = 0
		default:
			refused += sample
		}
	}
}

// look looks at the next few entries and removes those that are idle. It
// returns the slot of the least recently used of the rest, or -1.
func (m *Map[K, E, V]) look(now time.Duration) int {
	oldest := -1
	for range min(sample, len(m.ring)) {
		i := m.hand % len(m.ring)
		if now-V(m.ring[i].entry).LastUse() >= m.idle && m.remove(i) {
			oldest = -1 // The last slot moved here, which may be the oldest.
			continue
		}
		if oldest < 0 || V(m.ring[i].entry).LastUse() < V(m.ring[oldest].entry).LastUse() {
			oldest = i
		}
		m.hand = i + 1
	}
	return oldest
}

// remove evicts the entry in slot i and moves the last one there.
func (m *Map[K, E, V]) remove(i int) bool {
	if !V(m.ring[i].entry).Evict() {
		return false
	}
	m.table.Load().put(m.seed, m.ring[i].key, m.gone)
	last := len(m.ring) - 1
	m.ring[i] = m.ring[last]
	m.ring[last] = slot[K, E]{}
	m.ring = m.ring[:last]
	return true
}
