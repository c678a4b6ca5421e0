package lru

import (
	"hash/maphash"
	"sync/atomic"
)

// A table is an open-addressing hash table. Readers take no lock; one writer at
// a time changes it. A slot never changes its key: the writer sets the key
// before it sets the value, and the value makes the slot visible. A removed
// entry leaves a tombstone until the table is full and is rebuilt.
//
// A sync.Map would also work. Its look-ups among 100,000 entries take half as
// long again, with four times the memory accesses. The package comment has the
// figures of an xsync.Map.
type table[K comparable, E any] struct {
	slots []tableSlot[K, E] // their number is a power of two
	used  int               // slots with a key; for the writer only
}

type tableSlot[K comparable, E any] struct {
	value atomic.Pointer[E] // nil: the slot has no key
	key   K
}

func newTable[K comparable, E any](slots int) *table[K, E] {
	return &table[K, E]{slots: make([]tableSlot[K, E], slots)}
}

// find returns the slot of key with its value. If the table does not have the
// key, the value is nil, and the slot is free for the key.
func (t *table[K, E]) find(seed maphash.Seed, key K) (slot *tableSlot[K, E], value *E) {
	mask := uint64(len(t.slots) - 1) //nolint:gosec // G115: a length is not negative.
	for i := maphash.Comparable(seed, key); ; i++ {
		slot = &t.slots[i&mask]
		if value = slot.value.Load(); value == nil || slot.key == key {
			return slot, value
		}
	}
}

// full reports whether another key would leave less than a quarter of the slots
// free. Probes are short while a quarter is free.
func (t *table[K, E]) full() bool { return (t.used+1)*4 > len(t.slots)*3 }

// store sets the value of key. The table must not be full.
func (t *table[K, E]) store(seed maphash.Seed, key K, value *E) {
	slot, before := t.find(seed, key)
	if before == nil {
		slot.key = key
		t.used++
	}
	slot.value.Store(value)
}
