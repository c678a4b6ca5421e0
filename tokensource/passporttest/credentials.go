// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
)

// credentials are the active keys with their secrets.
type credentials struct {
	mu      sync.Mutex
	newest  string
	secrets map[string]string // key: secret
}

func (c *credentials) set(key, secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secrets == nil {
		c.secrets = map[string]string{}
	}
	c.newest, c.secrets[key] = key, secret
}

// valid reports whether key is active and secret is its secret.
func (c *credentials) valid(key, secret string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	active, ok := c.secrets[key]
	return ok && active == secret
}

// ServerKey returns the newest key.
func (s *Server) ServerKey() string {
	s.credentials.mu.Lock()
	defer s.credentials.mu.Unlock()
	return s.credentials.newest
}

// ServerSecret returns the secret of the newest key.
func (s *Server) ServerSecret() string {
	s.credentials.mu.Lock()
	defer s.credentials.mu.Unlock()
	return s.credentials.secrets[s.credentials.newest]
}

// RotateSecret gives the newest key a new secret, and returns that secret. The
// old secret is wrong at once. Tokens issued with it stay valid.
func (s *Server) RotateSecret() string {
	secret := newServerSecret()
	s.credentials.set(s.ServerKey(), secret)
	return secret
}

// AddKey adds a key with its own secret, as Pismo's Control Center does.
// ServerKey and ServerSecret return the new ones from then on. The other keys
// stay active until RevokeKey.
func (s *Server) AddKey() (key, secret string) {
	key, secret = newServerKey(), newServerSecret()
	s.credentials.set(key, secret)
	return key, secret
}

// RevokeKey revokes a key. Tokens issued with it stay valid. After the newest
// key is revoked, ServerKey still returns it, and ServerSecret returns an empty
// string.
func (s *Server) RevokeKey(key string) {
	s.credentials.mu.Lock()
	defer s.credentials.mu.Unlock()
	delete(s.credentials.secrets, key)
}

// newServerKey returns 40 hexadecimal digits.
func newServerKey() string {
	key := make([]byte, 20)
	_, _ = rand.Read(key) // It never fails.
	return hex.EncodeToString(key)
}

// newServerSecret returns 32 printable characters, with every punctuation mark
// that was seen in Pismo's secrets.
func newServerSecret() string {
	return rand.Text()[:13] + "$)" + rand.Text()[:5] + "(;" + rand.Text()[:3] + "%_" + rand.Text()[:3] + "&="
}
