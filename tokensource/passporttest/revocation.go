// SPDX-License-Identifier: Apache-2.0

package passporttest

import "time"

// Revoke revokes the tokens issued so far for an account; "" is the
// organization. Later tokens are valid.
//
// A [tokensource.Source] has a budget of three renewals of refused tokens per
// account, so that an endpoint which refuses every token cannot make the Source
// renew without end. The budget grows by one every [Server.RevocationInterval],
// which is 10 seconds with the default Config. So a client recovers from three
// revocations in a row; after the fourth, the caller gets the 401.
//
// A test that revokes in a loop waits for RevocationInterval in each round.
// That takes no time in a testing/synctest bubble, with [NewInProcess]. Outside
// of a bubble, a Config.Lifetime of a minute makes the interval a second. A
// test may also revoke the tokens of another account each time, since each
// account has its own budget.
func (s *Server) Revoke(account string) { s.tokens.revoke(account) }

// RevokeAll revokes all tokens issued so far. See [Server.Revoke] for how often
// in a row a client recovers from that.
func (s *Server) RevokeAll() { s.tokens.revokeAll() }

// How a Source treats the lifetimes of tokens; see [tokensource.Source.Renew].
const (
	unknownLifetime     = 10 * time.Minute // of tokens that do not tell their lifetime
	longestLifetime     = time.Hour
	renewalsPerLifetime = 60 // of refused tokens
)

// RevocationInterval returns how long a test has to wait between two
// revocations so that a [tokensource.Source] recovers from every one of them: a
// 60th of the tokens' lifetime as the Source knows it.
func (s *Server) RevocationInterval() time.Duration {
	lifetime := s.config.Lifetime
	if s.config.Opaque {
		lifetime = unknownLifetime
	}
	return min(lifetime, longestLifetime) / renewalsPerLifetime
}
