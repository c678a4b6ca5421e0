// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"slices"
	"sync"
)

// An activeList holds a value for each active configuration. The newest value
// is in use. During a reload two configurations are active, and either may stop
// first. The zero activeList is empty. An activeList is safe for concurrent
// use.
type activeList[T comparable] struct {
	mu    sync.Mutex
	items []T
}

// add adds the value of the newest configuration.
func (s *activeList[T]) add(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, item)
}

// remove removes the value of a configuration. It does nothing if the value is
// already removed.
func (s *activeList[T]) remove(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = slices.DeleteFunc(s.items, func(other T) bool { return other == item })
}

// newest returns the value of the newest active configuration. It reports false
// if no configuration is active.
func (s *activeList[T]) newest() (item T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) == 0 {
		return item, false
	}
	return s.items[len(s.items)-1], true
}
