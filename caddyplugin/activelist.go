package caddyplugin

import (
	"slices"
	"sync"
)

// An activeList holds what each active configuration provides; the newest is in
// use. While one configuration replaces another, two are active, and either may
// stop first. The zero stack is empty. It is safe for concurrent use.
type activeList[T comparable] struct {
	mu    sync.Mutex
	items []T
}

// add adds what the newest configuration provides.
func (s *activeList[T]) add(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, item)
}

// remove takes back what a configuration provides. It does nothing if that has
// been taken back before.
func (s *activeList[T]) remove(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = slices.DeleteFunc(s.items, func(other T) bool { return other == item })
}

// newest returns what the newest active configuration provides, and whether
// there is one.
func (s *activeList[T]) newest() (item T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) == 0 {
		return item, false
	}
	return s.items[len(s.items)-1], true
}
