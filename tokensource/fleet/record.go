// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A tokenRecord is what a token's sealed value holds.
type tokenRecord struct {
	Token     string        `json:"t"`
	ExpiresIn time.Duration `json:"e,omitempty"`
	Date      time.Time     `json:"d,omitzero"`
	Account   string        `json:"a,omitempty"`
	External  string        `json:"x,omitempty"`
	Bare      bool          `json:"b,omitempty"`
	Life      time.Duration `json:"l"` // from its beginning to its expiry
	TTL       time.Duration `json:"r"` // what was left when it was sealed
}

func newTokenRecord(g tokensource.Grant, life, left time.Duration) tokenRecord {
	return tokenRecord{
		Token:     g.Token.Reveal(),
		ExpiresIn: g.ExpiresIn,
		Date:      g.Date,
		Account:   g.AccountID,
		External:  g.ExternalAccountID,
		Bare:      g.Bare,
		Life:      life,
		TTL:       left,
	}
}

// grant returns the grant of a shared token that still lives for left. since is
// the time since the Source asked: the Source counts the age from there.
func (r tokenRecord) grant(left, since time.Duration) tokensource.Grant {
	return tokensource.Grant{
		Token:             tokensource.NewSecret(r.Token),
		ExpiresIn:         r.ExpiresIn,
		Date:              r.Date,
		Age:               max(r.Life-left-since, 0),
		AccountID:         r.Account,
		ExternalAccountID: r.External,
		Bare:              r.Bare,
		Adopted:           true,
	}
}

// The least part of its life that a shared token must have left.
const (
	// leastAhead is for a renewal ahead. Each process draws the time of its
	// renewal between 70 % and 80 % of the life. A shared token that is not
	// yet due for renewal serves.
	leastAhead = 0.35
	// leastOtherwise is for a caller that waits. The Source hands no token
	// out in the last tenth of its life.
	leastOtherwise = 0.12
)

// serves reports whether the shared token serves a need.
func (r tokenRecord) serves(need tokensource.Need, left time.Duration) bool {
	least := leastOtherwise
	if need.Reason == tokensource.ReasonAhead {
		least = leastAhead
	}
	return r.Token != need.Replaces.Reveal() && float64(left) >= least*float64(r.Life)
}

// A failureRecord is the sealed value that shares failures.
type failureRecord struct {
	// Failures counts the failures in a row. 0 means that all is well.
	Failures int `json:"n"`
	// Kind and Status are those of the last failure.
	Kind   tokensource.ErrorKind `json:"k,omitempty"`
	Status int                   `json:"s,omitempty"`
	// Memory is how long the record outlives its cooldown.
	Memory time.Duration `json:"m,omitempty"`
	// Open means that the failures have begun a cooldown.
	Open bool `json:"o,omitempty"`
	// TTL is how long the record lives from when it was sealed.
	TTL time.Duration `json:"r"`
}

func (r *tokenRecord) ttl() time.Duration   { return r.TTL }
func (r *failureRecord) ttl() time.Duration { return r.TTL }

// rounding is by how much a Store may round the life of a value up.
const rounding = time.Second

// open opens a claimed value as a record. It reports whether a process of the
// fleet sealed the value under this name, for no longer than it still lives.
// So a writer to the Store can bring a value back, but cannot make it last.
func (o *issuance) open(ctx context.Context, name string, claim Claim, record interface{ ttl() time.Duration }) bool {
	if o.keys.open(name, claim.Value, record) && claim.Left <= record.ttl()+rounding {
		return true
	}
	o.issuer.poisoned(ctx)
	return false
}
