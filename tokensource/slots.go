package tokensource

import (
	"context"
	"math"
	"sync/atomic"
)

// slots bound how many issuances run at once, and how many wait for their turn.
type slots struct {
	taken   chan struct{}
	waiting atomic.Int64
	limit   int64
}

// newSlots returns n slots, with room for perSlot times as many waiting. Any n
// will do: "no limit" is not too many.
func newSlots(n, perSlot int) *slots {
	limit := min(n, math.MaxInt/perSlot) * perSlot
	return &slots{taken: make(chan struct{}, n), limit: int64(limit)}
}

// reserve takes a place among those that wait, or fails if all are taken. Whoever
// has a reservation must call acquire or cancel.
func (s *slots) reserve() *Error {
	if s.waiting.Add(1) > s.limit {
		s.cancel()
		return NewError(ErrOverloaded, nil)
	}
	return nil
}

// cancel gives a reservation back.
func (s *slots) cancel() { s.waiting.Add(-1) }

// acquire waits for a slot. It ends the reservation.
func (s *slots) acquire(ctx context.Context) (*slot, *Error) {
	defer s.cancel()
	select {
	case s.taken <- struct{}{}:
		taken := &slot{slots: s}
		taken.hold()
		return taken, nil
	case <-ctx.Done():
		return nil, NewError(ErrOverloaded, ctx.Err())
	}
}

// A slot is taken by an issuance. It is free again when all who hold it have
// released it: the issuance, and each call of the issuer that has not returned.
type slot struct {
	slots   *slots
	holders atomic.Int32
}

func (s *slot) hold() { s.holders.Add(1) }

func (s *slot) release() {
	if s.holders.Add(-1) == 0 {
		<-s.slots.taken
	}
}
