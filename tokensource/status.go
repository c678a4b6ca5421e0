package tokensource

import "time"

// Status is what an operator may want to know of a [Source]. It holds no secret
// and no account.
type Status struct {
	// Accounts are how many accounts something is kept for: a token, or the
	// memory of a failure.
	Accounts int
	// Tokens are how many of them have a token that can be handed out.
	Tokens int
	// NextExpiry is when the first of these tokens expires; zero if there is
	// none.
	NextExpiry time.Time
	// CoolingDown are how many accounts are left alone, because issuances for them
	// failed a moment ago.
	CoolingDown int
	// CooldownUntil is when the Source as a whole will try again; zero if it is
	// not left alone. Cause is why it is.
	CooldownUntil time.Time
	CooldownCause ErrorKind
}

// Status returns what the Source is doing. It looks at all accounts there are,
// which takes about a millisecond for 10,000.
func (s *Source) Status() Status {
	now, revision := s.now(), s.revision.current()
	var status Status
	for _, e := range s.entries.Entries() {
		status.Accounts++
		if e.inCooldown(now.mono, revision) {
			status.CoolingDown++
		}
		if t := e.inHand(now); t != nil {
			status.Tokens++
			if expiry := t.Expiry(); status.NextExpiry.IsZero() || expiry.Before(status.NextExpiry) {
				status.NextExpiry = expiry
			}
		}
	}
	if open := s.breaker.check(now.mono, revision); open != nil {
		status.CooldownUntil = time.Unix(0, now.wall).Add(open.RetryAfter)
		status.CooldownCause = open.Kind
	}
	return status
}

// HasToken reports whether the Source has a token that may be handed out, of any
// account. It is for a readiness probe, and issues nothing.
func (s *Source) HasToken() bool {
	now := s.now()
	for _, e := range s.entries.Entries() {
		if e.inHand(now) != nil {
			return true
		}
	}
	return false
}

// Invalidate drops the token of an account, and the memory of its failures: the
// next caller has another issued. It is for an operator who knows that a token
// is no good, or that a failure is mended. An issuance that is running goes on,
// and what it brings is kept. The token itself lives on: Invalidate revokes nothing.
func (s *Source) Invalidate(account Account) {
	if e, ok := s.entries.Load(account); ok {
		e.invalidate()
	}
}

// InvalidateAll is [Source.Invalidate] for all accounts there are, and ends the failures
// that concern every account.
func (s *Source) InvalidateAll() {
	for _, e := range s.entries.Entries() {
		e.invalidate()
	}
	s.breaker.reset()
}
