// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"math"
	"sync/atomic"
)

// slots bound the number of issuances that run at once, and the number that
// wait for a slot.
type slots struct {
	taken   chan struct{}
	waiting atomic.Int64
	limit   int64
}

// newSlots returns n slots, and room for perSlot waiting issuances per slot. n
// may be as large as math.MaxInt.
func newSlots(n, perSlot int) *slots {
	limit := min(n, math.MaxInt/perSlot) * perSlot
	return &slots{taken: make(chan struct{}, n), limit: int64(limit)}
}

// reserve reserves room to wait for a slot. It fails if no room is left. After
// a reservation the caller must call acquire or cancel.
func (s *slots) reserve() *Error {
	if s.waiting.Add(1) > s.limit {
		s.cancel()
		return NewError(ErrOverloaded, nil)
	}
	return nil
}

// cancel gives a reservation back.
func (s *slots) cancel() { s.waiting.Add(-1) }

// acquire waits for a slot, and ends the reservation. The caller must call
// release afterwards, unless acquire returns an error.
func (s *slots) acquire(ctx context.Context) *Error {
	defer s.cancel()
	select {
	case s.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return NewError(ErrOverloaded, ctx.Err())
	}
}

// release makes a slot free again.
func (s *slots) release() { <-s.taken }
