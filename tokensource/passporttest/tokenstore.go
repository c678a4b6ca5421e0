// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"crypto/rand"
	"sync"
	"time"
)

// A tokenStore holds the issued tokens. The resource API accepts a token only
// if the store has it byte for byte, which is stricter than a check of the
// signature.
type tokenStore struct {
	key        []byte // signs the JWTs
	onlyNewest bool   // a new token revokes the account's older ones

	mu         sync.Mutex
	tokens     map[string]Token // by value
	sweepAt    int              // the number of tokens at which add drops old ones
	serial     uint64           // of the newest token
	newest     map[string]string
	revoked    map[string]uint64 // by account: tokens up to this serial
	revokedAll uint64            // tokens of every account up to this serial
}

const (
	// keepExpired is how long the store keeps an expired token. Afterwards the
	// token may be unknown.
	keepExpired = time.Hour
	firstSweep  = 1024
)

func newTokenStore() *tokenStore {
	key := make([]byte, 64)
	_, _ = rand.Read(key) // It never fails.
	return &tokenStore{
		key:     key,
		tokens:  map[string]Token{},
		newest:  map[string]string{},
		revoked: map[string]uint64{},
		sweepAt: firstSweep,
	}
}

// add adds a token, and gives it the next serial.
func (s *tokenStore) add(value string, token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= s.sweepAt {
		for old, t := range s.tokens {
			if t.Expires.Add(keepExpired).Before(token.Issued) {
				delete(s.tokens, old)
			}
		}
		s.sweepAt = max(firstSweep, 2*len(s.tokens))
	}
	s.serial++
	token.Serial = s.serial
	s.tokens[value] = token
	if s.onlyNewest {
		s.revoked[token.Account] = token.Serial - 1
	}
	s.newest[token.Account] = value
}

// newestOf returns the value of the newest token of an account, or "" if the
// account has none.
func (s *tokenStore) newestOf(account string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest[account]
}

// find returns the token with the given value. The reason is not "" if the
// token must be refused.
func (s *tokenStore) find(value string, now time.Time) (token Token, reason RefusalReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := s.tokens[value]
	switch {
	case !ok:
		return Token{}, ReasonUnknown
	case !now.Before(token.Expires):
		return token, ReasonExpired
	case token.Serial <= max(s.revokedAll, s.revoked[token.Account]):
		return token, ReasonRevoked
	}
	return token, ""
}

// revoke revokes the tokens that an account has so far.
func (s *tokenStore) revoke(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[account] = s.serial
}

// revokeAll revokes the tokens that all accounts have so far.
func (s *tokenStore) revokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revokedAll = s.serial
}
