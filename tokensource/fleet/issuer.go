// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// Config configures an [Issuer]. Issuer, Store and Key are required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Issuer obtains the tokens that nobody shares yet, such as a
	// *passport.S2S. Required.
	Issuer tokensource.Issuer

	// Store is where the fleet shares its tokens. Required.
	Store Store

	// Key returns the secret from which names and sealing keys are derived,
	// such as the Secret of passport.Credentials. The Issuer calls it for
	// each issuance. All processes of a fleet need the same key. It must
	// have at least 16 bytes that cannot be guessed. If it is not a part of
	// the credentials, it must differ for each server key, or Scope must:
	// otherwise two organizations share their tokens. While Key fails, the
	// Issuer works without the Store. Required.
	Key func(ctx context.Context) (tokensource.Secret, error)

	// Scope separates tokens that the same key obtains in different ways. The
	// issuers of package passport add their own part, by a method Scope() string:
	// the base URL and, with OpenID, the tenant and the permission group. An
	// Issuer of your own that wraps one of them must hand on the result of that
	// method. Name here what else determines the tokens: what the functions
	// Claims and UID of an OpenID return, and Header and Fields. All processes
	// of a fleet need the same Scope.
	Scope string

	// Hooks observe the use of the Store. The zero Hooks observe nothing.
	Hooks Hooks
}

// validate returns every fault in the configuration.
func (c *Config) validate() error {
	var faults []error
	if c.Issuer == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Issuer", Reason: "is not set; use a *passport.S2S"})
	} else if v, ok := c.Issuer.(interface{ Validate() error }); ok {
		faults = append(faults, v.Validate())
	}
	if c.Store == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Store", Reason: "is not set; without a Store, use the Issuer itself"})
	}
	if c.Key == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Key", Reason: "is not set; use the Secret of the credentials"})
	}
	return errors.Join(faults...)
}

// minKey is the length in bytes of the shortest key.
const minKey = 16

var (
	errShared   = tokensource.SafeError("another process of the fleet reported this failure", nil)
	errShortKey = tokensource.SafeError("it is shorter than 16 bytes", nil)
)

// An Issuer is a [tokensource.Reissuer] that shares its tokens with the other
// processes of a fleet. Make one with [New]. It is safe for concurrent use.
type Issuer struct {
	config  Config
	breaker storeBreaker
	tally   tally

	mu     sync.Mutex
	secret string // from which keys was derived
	keys   *keys
}

// New returns an Issuer. It contacts no server. The error reports every fault
// in the configuration, as [*tokensource.ConfigError] values joined by
// errors.Join.
func New(config Config) (*Issuer, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	return &Issuer{config: config}, nil
}

// Revision returns the revision of the inner Issuer, or "" if it has none.
func (i *Issuer) Revision(ctx context.Context) string {
	if r, ok := i.config.Issuer.(interface {
		Revision(ctx context.Context) string
	}); ok {
		return r.Revision(ctx)
	}
	return ""
}

// Issue returns a shared token, or issues one. A Source calls Reissue instead.
func (i *Issuer) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	return i.Reissue(ctx, tokensource.Need{Account: account, Reason: tokensource.ReasonCold})
}

// Reissue returns a shared token that serves the need, or issues and shares a
// new one. It asks the inner Issuer at most once. If the Store cannot be used,
// Reissue does what the inner Issuer does.
func (i *Issuer) Reissue(ctx context.Context, need tokensource.Need) (tokensource.Grant, error) {
	keys := i.currentKeys(ctx)
	if keys == nil {
		return i.inner(ctx, need)
	}
	o := &issuance{issuer: i, keys: keys, need: need, owner: rand.Text(), began: time.Now()}
	o.name = keys.name(forToken, need.Account)
	return o.run(ctx)
}

// inner asks the inner Issuer.
func (i *Issuer) inner(ctx context.Context, need tokensource.Need) (tokensource.Grant, error) {
	if r, ok := i.config.Issuer.(tokensource.Reissuer); ok {
		return r.Reissue(ctx, need)
	}
	return i.config.Issuer.Issue(ctx, need.Account)
}

// currentKeys returns the keys for the current secret, or nil if there is none.
func (i *Issuer) currentKeys(ctx context.Context) *keys {
	secret, err := i.config.Key(ctx)
	value := secret.Reveal()
	if err == nil && len(value) < minKey {
		err = errShortKey
	}
	if err != nil {
		_, end := i.operation(ctx, OpKey)
		end(OutcomeFailed, keyError(err))
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.keys == nil || i.secret != value {
		k, err := newKeys([]byte(value), i.scope())
		if err != nil {
			return nil
		}
		i.secret, i.keys = value, k
	}
	return i.keys
}

// keyError returns an error of Config.Key whose text is safe to log.
func keyError(err error) error {
	reason := tokensource.SafeText(err)
	if reason == "" {
		reason = "it cannot be read"
	}
	return tokensource.SafeError("fleet: the key cannot be used: "+reason, err)
}

// scope returns the scope of the configuration and that of the inner Issuer.
func (i *Issuer) scope() string {
	inner := ""
	if s, ok := i.config.Issuer.(interface{ Scope() string }); ok {
		inner = s.Scope()
	}
	return strconv.Quote(i.config.Scope) + strconv.Quote(inner)
}

// sameValue reports whether two values of the Store are the same.
func sameValue(a, b []byte) bool { return a != nil && bytes.Equal(a, b) }
