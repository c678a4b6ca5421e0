// SPDX-License-Identifier: Apache-2.0

package lru

import (
	"sync/atomic"
)

// A table is an open-addressing hash table. Readers take no lock; one writer at
// a time changes it. A slot never changes its hash: the writer sets the hash
// before it sets the value, and the value makes the slot visible. A removed
// entry leaves a tombstone until the table is full and is rebuilt.
//
// The key is in the entry. A look-up compares the hashes first, and so reads
// two cache lines: that of the slot and that of the entry.
//
// A sync.Map would also work. Its look-ups among 100,000 entries take half as
// long again, with four times the memory accesses. The package comment has the
// figures of an xsync.Map.
type table[K comparable, E any, V Entry[K, E]] struct {
	slots     []tableSlot[E] // their number is a power of two
	used      int            // slots with a hash; for the writer only
	tombstone *E             // in the place of a removed entry
}

type tableSlot[E any] struct {
	value atomic.Pointer[E] // nil: the slot has no hash
	hash  uint64
}

func newTable[K comparable, E any, V Entry[K, E]](slots int, tombstone *E) *table[K, E, V] {
	return &table[K, E, V]{slots: make([]tableSlot[E], slots), tombstone: tombstone}
}

// slot returns the slot where the i-th probe for a hash looks.
func (t *table[K, E, V]) slot(hash, i uint64) *tableSlot[E] {
	return &t.slots[(hash+i)&uint64(len(t.slots)-1)] //nolint:gosec // G115: a length is not negative.
}

// find returns the entry of key, or nil.
func (t *table[K, E, V]) find(hash uint64, key K) V {
	for i := uint64(0); ; i++ {
		slot := t.slot(hash, i)
		entry := slot.value.Load()
		if entry == nil || slot.hash == hash && entry != t.tombstone && V(entry).Key() == key {
			return entry
		}
	}
}

// full reports whether another entry would leave less than a quarter of the
// slots free. Probes are short while a quarter is free.
func (t *table[K, E, V]) full() bool { return (t.used+1)*4 > len(t.slots)*3 }

// insert adds an entry whose key has none. The table must not be full.
func (t *table[K, E, V]) insert(hash uint64, entry V) {
	for i := uint64(0); ; i++ {
		slot := t.slot(hash, i)
		switch before := slot.value.Load(); {
		case before == nil:
			slot.hash = hash
			t.used++
		case before != t.tombstone || slot.hash != hash:
			continue
		}
		slot.value.Store(entry)
		return
	}
}

// insertAll inserts the entries of another table. It does not read them: their
// hashes are in the slots.
func (t *table[K, E, V]) insertAll(from *table[K, E, V]) {
	for i := range from.slots {
		if entry := from.slots[i].value.Load(); entry != nil && entry != t.tombstone {
			t.insert(from.slots[i].hash, entry)
		}
	}
}

// remove removes an entry of the table.
func (t *table[K, E, V]) remove(hash uint64, entry V) {
	for i := uint64(0); ; i++ {
		if t.slot(hash, i).value.CompareAndSwap(entry, t.tombstone) {
			return
		}
	}
}
