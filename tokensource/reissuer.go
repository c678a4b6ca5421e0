// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"time"
)

// A Reissuer is an [Issuer] that needs to know why a token is issued, because
// it shares tokens with other processes. A [Source] calls Reissue instead of
// Issue if its issuer has it. The same rules apply. Few programs implement a
// Reissuer: package fleet has one.
type Reissuer interface {
	Issuer
	Reissue(ctx context.Context, need Need) (Grant, error)
}

// A Need says why a [Source] asks for a token, and which token it replaces.
type Need struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Account is the account of the token. It is never the zero Account.
	Account Account
	// Reason is the reason for the issuance.
	Reason IssueReason
	// Replaces is the value of the account's last token in this Source, or empty
	// if there was none. The Source rejects the same token again, unless the token
	// does not state its expiry and its life is over.
	Replaces Secret
	// ReplacedLifetime is the lifetime of the token that is replaced, or 0 if
	// there was none.
	ReplacedLifetime time.Duration
}

// issueFor asks the issuer for the token of an issuance.
func (s *Source) issueFor(ctx context.Context, f *issuance) (Grant, error) {
	r, ok := s.issuer.(Reissuer)
	if !ok {
		return s.issuer.Issue(ctx, f.entry.account)
	}
	need := Need{Account: f.entry.account, Reason: f.reason}
	if old := f.replaces; old != nil {
		need.Replaces, need.ReplacedLifetime = NewSecret(old.Reveal()), old.lifetime
	}
	return r.Reissue(ctx, need)
}
