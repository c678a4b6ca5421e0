package caddyplugin

import (
	"slices"
	"sync"
)

// A stack holds what each active configuration provides; the newest is in use.
// While one configuration replaces another, two are active, and either may stop
// first. The zero stack is empty. It is safe for concurrent use.
type stack[T comparable] struct {
	mu    sync.Mutex
	items []T
}

// push adds what the newest configuration provides.
func (s *stack[T]) push(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, item)
}

// remove takes back what a configuration provides. It does nothing if that has
// been taken back before.
func (s *stack[T]) remove(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = slices.DeleteFunc(s.items, func(other T) bool { return other == item })
}

// top returns what the newest active configuration provides, and whether there
// is one.
func (s *stack[T]) top() (item T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) == 0 {
		return item, false
	}
	return s.items[len(s.items)-1], true
}
