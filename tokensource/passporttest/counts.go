// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
)

// Counts are the numbers of requests that a [Server] has received so far. The
// Server counts a request, and its result, before it answers: a client that has
// the answer finds the request counted.
type Counts struct {
	// TokenRequests are the requests to the token endpoint.
	TokenRequests int
	// Issued are the issued tokens. They are valid whether or not they
	// arrived.
	Issued int
	// Rejected are the refused token requests: those with wrong credentials,
	// for an account that does not exist, or malformed.
	Rejected int
	// Assertions are the refused assertions, by fault. Each of them is also
	// counted in Rejected. The answer does not name the fault, since Pismo's
	// does not.
	Assertions map[AssertionFault]int
	// Faults are the token requests that met a fault.
	Faults int

	// ResourceRequests are all other requests. Each of them is also counted in
	// one of the next three fields.
	ResourceRequests int
	// Accepted are the requests whose token was accepted, whatever the answer.
	Accepted int
	// Refused are the requests whose token was refused, by reason.
	Refused map[RefusalReason]int
	// Scripted are the requests with an accepted token that
	// [Server.Refuse] or the path /v1/refusals/ refused.
	Scripted int

	// Accounts are the counts by account id; "" is the organization. They do
	// not include requests without a token of this Server.
	Accounts map[string]AccountCounts

	// IssuedTo are the issued tokens by replica and account. It is empty
	// without a Config.ReplicaHeader.
	IssuedTo map[Recipient]int
}

// A Recipient is the replica that a token was issued to, and the account of
// that token.
type Recipient struct {
	// Replica is the value of Config.ReplicaHeader in the token request; "" if
	// the request had no such field.
	Replica string
	// Account is the id of the account; "" is the organization.
	Account string
}

// MarshalText implements [encoding.TextMarshaler], so that Counts can be
// encoded as JSON.
func (r Recipient) MarshalText() ([]byte, error) { return []byte(r.Replica + "/" + r.Account), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. An account has no slash.
func (r *Recipient) UnmarshalText(text []byte) error {
	i := strings.LastIndexByte(string(text), '/')
	if i < 0 {
		return errors.New("passporttest: a recipient has no slash")
	}
	r.Replica, r.Account = string(text[:i]), string(text[i+1:])
	return nil
}

// AccountCounts are the [Counts] of one account.
type AccountCounts struct {
	TokenRequests, Issued                         int
	ResourceRequests, Accepted, Refused, Scripted int
}

// TotalRefused returns the sum of Refused: the number of requests without an
// accepted token.
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

// addResourceRequest counts a resource request with its result.
func (c *Counts) addResourceRequest(token Token, reason RefusalReason, refused bool) {
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
	c.Assertions = maps.Clone(c.Assertions)
	c.IssuedTo = maps.Clone(c.IssuedTo)
	return c
}

// A recorder keeps the counts and the deliveries.
type recorder struct {
	mu         sync.Mutex
	counts     Counts
	deliveries []Delivery
	changed    chan struct{} // closed at the next change; nil if no Await waits
}

// count changes the counts.
func (r *recorder) count(change func(*Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts.Accounts == nil {
		r.counts.Accounts = map[string]AccountCounts{}
		r.counts.Refused = map[RefusalReason]int{}
		r.counts.Assertions = map[AssertionFault]int{}
		r.counts.IssuedTo = map[Recipient]int{}
	}
	change(&r.counts)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Counts returns the counts so far.
func (s *Server) Counts() Counts {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	return s.requests.counts.clone()
}

// Await waits until reached returns true for the counts. If ctx is done before,
// Await returns the error of ctx. Tests use Await instead of sleeping.
func (s *Server) Await(ctx context.Context, reached func(Counts) bool) error {
	for {
		counts, changed := s.requests.watch()
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

// watch returns the counts, and a channel that is closed at their next change.
func (r *recorder) watch() (Counts, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.counts.clone(), r.changed
}
