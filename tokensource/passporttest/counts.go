package passporttest

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Counts are what a [Server] has seen so far. A request is counted when it has
// arrived, and whatever comes of it before it is answered: a client that has
// its answer finds it counted.
type Counts struct {
	// TokenRequests are those that reached the token endpoint.
	TokenRequests int
	// Issued are the tokens made: whether or not they arrived, they are good.
	Issued int
	// Rejected are the token requests that were refused: wrong credentials,
	// an account that does not exist, a request that is not as it should be.
	Rejected int
	// Faults are the token requests that met a fault.
	Faults int

	// ResourceRequests are all others. Each is one of the following three.
	ResourceRequests int
	// Accepted are those whose token was good, and that were served.
	Accepted int
	// Refused are those whose token was refused, by reason.
	Refused map[RefusalReason]int
	// Scripted are those whose token was good, and that were refused because
	// [Server.Refuse] or /v1/refusals/ said so.
	Scripted int

	// Accounts are the same by account id; "" is the organization. Requests
	// without a token of this Server are not among them.
	Accounts map[string]AccountCounts
}

// AccountCounts are the [Counts] of one account.
type AccountCounts struct {
	TokenRequests, Issued                         int
	ResourceRequests, Accepted, Refused, Scripted int
}

// TotalRefused returns how many tokens were refused, for whatever reason.
func (c Counts) TotalRefused() int {
	total := 0
	for _, n := range c.Refused {
		total += n
	}
	return total
}

// forAccount changes the counts of one account.
func (c *Counts) forAccount(account string, change func(*AccountCounts)) {
	counts := c.Accounts[account]
	change(&counts)
	c.Accounts[account] = counts
}

// request counts a resource request.
func (c *Counts) request(token Token, reason RefusalReason, refused bool) {
	c.ResourceRequests++
	counts := AccountCounts{}
	switch {
	case reason != "":
		c.Refused[reason]++
		counts.Refused++
	case refused:
		c.Scripted++
		counts.Scripted++
	default:
		c.Accepted++
		counts.Accepted++
	}
	if token == (Token{}) {
		return
	}
	c.forAccount(token.Account, func(a *AccountCounts) {
		a.ResourceRequests++
		a.Accepted += counts.Accepted
		a.Refused += counts.Refused
		a.Scripted += counts.Scripted
	})
}

func (c Counts) clone() Counts {
	c.Refused = maps.Clone(c.Refused)
	c.Accounts = maps.Clone(c.Accounts)
	return c
}

// A Delivery is a request, of any method but GET and HEAD, whose body arrived
// in full at the resource API.
type Delivery struct {
	Method, Path string
	// Account is that of the token, if it was one of this Server's; "" is the
	// organization.
	Account string
	// Length and SHA256 (in hexadecimal) are of the body.
	Length int64
	SHA256 string
	// Status is what the request was answered. What was carried out has 200
	// or 201, what was refused another.
	Status int
}

// maxDeliveries is how many deliveries are kept, at least.
const maxDeliveries = 10_000

// A tally keeps the counts and the deliveries.
type tally struct {
	mu         sync.Mutex
	counts     Counts
	deliveries []Delivery
	changed    chan struct{} // closed at the next change; nil if nobody waits
}

// note changes the counts.
func (t *tally) note(change func(*Counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts.Accounts == nil {
		t.counts.Accounts = map[string]AccountCounts{}
		t.counts.Refused = map[RefusalReason]int{}
	}
	change(&t.counts)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// deliver keeps a delivery.
func (t *tally) deliver(d Delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.deliveries) == 2*maxDeliveries {
		t.deliveries = slices.Delete(t.deliveries, 0, maxDeliveries)
	}
	t.deliveries = append(t.deliveries, d)
}

// Counts returns what the Server has seen so far.
func (s *Server) Counts() Counts {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	return s.tally.counts.clone()
}

// Deliveries returns what was delivered so far, in the order of arrival: at
// least the last 10,000. It is how a test proves that a payment was sent once.
//
// What is carried out is a delivery, and what is refused too: the body is read
// before the refusal is sent. Uploads are the exception, since they may be
// without end: a refused one is answered before its body is read, as a gateway
// would, and is no delivery. The bodies for a Config.Resource are its own.
func (s *Server) Deliveries() []Delivery {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	return slices.Clone(s.tally.deliveries)
}

// Await waits until the counts satisfy reached, or ctx is done, whose error it
// returns then. It is what a test uses instead of sleeping.
func (s *Server) Await(ctx context.Context, reached func(Counts) bool) error {
	for {
		counts, changed := s.tally.watch()
		if reached(counts) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch returns the counts, and a channel that is closed when they change.
func (t *tally) watch() (Counts, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.counts.clone(), t.changed
}
