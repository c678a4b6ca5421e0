package tokensource

import "context"

// probe asks for the token of the account that an issuance on trial tries first,
// and returns why there is none.
func (s *Source) probe(ctx context.Context, f *issuance, place *place, pass pass) *Error {
	t, revision, err := s.ask(ctx, place, pass.probe)
	switch {
	case err == nil:
		s.gate.succeed(pass.probe)
		s.adopt(t)
		return nil
	case s.late(ctx, err, pass):
		return s.overloaded(ctx, pass)
	}
	now := s.now().mono
	err = err.of(f.number)
	s.gate.fail(pass, pass.probe, err, revision, now)
	// What the probe was told is not what its caller should be.
	if closed := s.gate.check(now, revision); closed != nil {
		return closed
	}
	return err
}

// issuingFor reports whether an issuance for account is running.
func (s *Source) issuingFor(account Account) bool {
	l, ok := s.leases.Load(account)
	if !ok {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flight != nil
}

// adopt keeps a token that was issued on trial. A renewal may have begun in the
// meantime, and wait for its turn: this token is not the refused one either.
func (s *Source) adopt(t *Token) {
	l, ok := s.leases.Load(t.account)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.evicted {
		l.token = t
		l.cooling = cooling{}
		l.current.Store(t)
	}
}
