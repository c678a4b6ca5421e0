// SPDX-License-Identifier: Apache-2.0

package tokensource

import "time"

// Status describes the state of a [Source] for an operator. It holds no secret
// and no account.
type Status struct {
	// Accounts is the number of accounts that the Source remembers: callers have
	// asked for them, and the Source has not evicted them.
	Accounts int
	// Tokens is the number of accounts with a token that can be handed out.
	Tokens int
	// NextExpiry is the earliest expiry of these tokens, or zero if there
	// are none.
	NextExpiry time.Time
	// CoolingDown is the number of accounts in cooldown after a failed
	// issuance.
	CoolingDown int
	// BreakerOpenUntil is the end of the breaker's cooldown, or zero if the
	// breaker is not open. BreakerCause is the kind of the failure that
	// opened the breaker.
	BreakerOpenUntil time.Time
	BreakerCause     ErrorKind
}

// Status returns the state of the Source. It examines all accounts, which takes
// about a millisecond for 10,000.
func (s *Source) Status() Status {
	now, revision := s.now(), s.revision.current()
	var status Status
	for _, e := range s.entries.Entries() {
		status.Accounts++
		if e.inCooldown(now.mono, revision) {
			status.CoolingDown++
		}
		if t := e.usableNow(now); t != nil {
			status.Tokens++
			if expiry := t.Expiry(); status.NextExpiry.IsZero() || expiry.Before(status.NextExpiry) {
				status.NextExpiry = expiry
			}
		}
	}
	if open := s.breaker.check(now.mono, revision); open != nil {
		status.BreakerOpenUntil = time.Unix(0, now.wall).Add(open.RetryAfter)
		status.BreakerCause = open.Kind
	}
	return status
}

// HasAnyToken reports whether the Source has a token of any account that can be
// handed out. It is for a readiness probe, and issues nothing.
func (s *Source) HasAnyToken() bool {
	now := s.now()
	for _, e := range s.entries.Entries() {
		if e.usableNow(now) != nil {
			return true
		}
	}
	return false
}

// Invalidate drops the token of an account and ends its cooldown. The next
// caller starts an issuance, unless one is running or the breaker is open.
// Invalidate is for an operator who knows that a token is invalid, or that the
// cause of a failure is removed. A running issuance continues, and its token is
// kept. The dropped token stays valid at the platform: Invalidate revokes
// nothing. If the endpoint hands out the same token again, the Source uses it.
func (s *Source) Invalidate(account Account) {
	if e, ok := s.entries.Load(account); ok {
		e.invalidate()
	}
}

// InvalidateAll calls [Source.Invalidate] for all accounts, and closes the
// breaker.
func (s *Source) InvalidateAll() {
	for _, e := range s.entries.Entries() {
		e.invalidate()
	}
	s.breaker.reset()
}
