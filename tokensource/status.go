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
	// Cooling are how many accounts are left alone, because issuances for them
	// failed a moment ago.
	Cooling int
	// CoolingUntil is when the Source as a whole will try again; zero if it is
	// not left alone. Cause is why it is.
	CoolingUntil time.Time
	Cause        Kind
}

// Status returns what the Source is doing. It looks at all accounts there are,
// which takes about a millisecond for 10,000.
func (s *Source) Status() Status {
	now, revision := s.now(), s.revision.current()
	var status Status
	for _, l := range s.leases.Entries() {
		status.Accounts++
		if l.isCooling(now.mono, revision) {
			status.Cooling++
		}
		if t := l.current.Load(); t != nil && !t.dead.passed(now) {
			status.Tokens++
			if expiry := t.Expiry(); status.NextExpiry.IsZero() || expiry.Before(status.NextExpiry) {
				status.NextExpiry = expiry
			}
		}
	}
	if closed := s.gate.check(now.mono, revision); closed != nil {
		status.CoolingUntil = time.Unix(0, now.wall).Add(closed.RetryAfter)
		status.Cause = closed.Kind
	}
	return status
}

// Forget drops the token of an account, and the memory of its failures: the
// next caller has another issued. It is for an operator who knows that a token
// is no good, or that a failure is mended. An issuance that is running goes on,
// and what it brings is kept. The token itself lives on: Forget revokes nothing.
func (s *Source) Forget(account Account) {
	if l, ok := s.leases.Load(account); ok {
		l.forget()
	}
}

// ForgetAll is [Source.Forget] for all accounts there are, and for the failures
// that were taken for everybody's.
func (s *Source) ForgetAll() {
	for _, l := range s.leases.Entries() {
		l.forget()
	}
	s.longest.Store(nil)
	s.gate.forget()
}

func (l *lease) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token = nil
	l.cooling = cooling{}
	l.current.Store(nil)
}

// forget opens the gate.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open()
}
