package passporttest

import "time"

// Revoke takes back the tokens issued so far for an account; "" is the
// organization. Tokens issued from now on are good.
//
// A [tokensource.Source] has a budget of three renewals per account for tokens
// that are refused, so that an endpoint which refuses every token cannot make it
// ask without end. One more comes every [Server.RenewalInterval], which is 10
// seconds with the default Config. So the first three revocations in a row heal
// unnoticed; after the fourth, the caller gets the 401. A test that revokes in a
// loop lets RenewalInterval pass in each round: inside of a testing/synctest
// bubble, with [NewUnstarted], that takes no time. Outside of one, a
// Config.Lifetime of a minute makes it a second. Or revoke the tokens of another
// account each time: each has its own budget.
func (s *Server) Revoke(account string) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.revoked[account] = s.ledger.serial
}

// RevokeAll takes back all tokens issued so far. See [Server.Revoke] for how
// often in a row a client can make up for that.
func (s *Server) RevokeAll() {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.revokedAll = s.ledger.serial
}

// What a Source makes of the lives of tokens; see [tokensource.Source.Renew].
const (
	untoldLifetime  = 10 * time.Minute // of tokens that do not tell theirs
	longestLifetime = time.Hour
	renewalsPerLife = 60 // for tokens that are refused
)

// RenewalInterval returns how long a [tokensource.Source] has to be left between
// two revocations, if they go on and on, so that it makes up for each: a 60th of
// the tokens' life as the Source knows it.
func (s *Server) RenewalInterval() time.Duration {
	lifetime := s.config.Lifetime
	if s.config.Opaque {
		lifetime = untoldLifetime
	}
	return min(lifetime, longestLifetime) / renewalsPerLife
}
