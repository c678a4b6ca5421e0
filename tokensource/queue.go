package tokensource

import (
	"context"
	"math"
	"sync/atomic"
)

// A queue bounds how many issuances are at work at once, and how many wait.
type queue struct {
	places  chan struct{}
	waiting atomic.Int64
	limit   int64
}

// newQueue returns a queue in which perPlace times as many as there are places
// may wait. There may be any number of places: "no limit" is not too many.
func newQueue(places, perPlace int) *queue {
	limit := min(places, math.MaxInt/perPlace) * perPlace
	return &queue{places: make(chan struct{}, places), limit: int64(limit)}
}

// join takes a place at the end of the queue, if it is not full. Who joins must
// call enter.
func (q *queue) join() error {
	if q.waiting.Add(1) > q.limit {
		q.waiting.Add(-1)
		return NewError(ErrOverloaded, nil)
	}
	return nil
}

// enter waits until it is its caller's turn.
func (q *queue) enter(ctx context.Context) (*place, *Error) {
	defer q.waiting.Add(-1)
	select {
	case q.places <- struct{}{}:
		p := &place{queue: q}
		p.hold()
		return p, nil
	case <-ctx.Done():
		return nil, NewError(ErrOverloaded, ctx.Err())
	}
}

// A place is one of those at work. It is free again when all who hold it have
// released it: the issuance, and each call of the issuer that has not returned.
type place struct {
	queue   *queue
	holders atomic.Int32
}

func (p *place) hold() { p.holders.Add(1) }

func (p *place) release() {
	if p.holders.Add(-1) == 0 {
		<-p.queue.places
	}
}
