package tokensource

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
