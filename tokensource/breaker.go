// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"slices"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// breakerThreshold is the number of different accounts that must fail in a row
// before the breaker attributes their failures to the endpoint or to the
// credentials.
const breakerThreshold = 3

// A breaker guards all calls of a Source to its issuer. It opens when a failure
// affects every account: when several accounts have failed with no success in
// between, or when the organization has failed. While the breaker is open, no
// issuance reaches the issuer. When its cooldown is over, the breaker is
// half-open: it lets one issuance through. The outcome of this probe closes the
// breaker or opens it again.
type breaker struct {
	mu     sync.Mutex
	failed []Account // different accounts since the last success, while closed
	// rejections means that the accounts in failed were rejected. Otherwise
	// the endpoint failed.
	rejections bool
	cooldown   cooldown // The breaker is closed if this has no failures.
	probe      *permit  // the permit of the half-open breaker, or nil

	// The past grants distinguish a wrong account from wrong credentials.
	// The token endpoint answers both in the same way.
	granted         bool   // a token was granted with credentials of grantedRevision
	grantedAccount  bool   // likewise, for an account other than the organization
	grantedRevision string // of the credentials that last brought a token
	holders         int    // the number of accounts that ever had a token
}

// A permit allows one issuance to ask the issuer. The holder must call succeed,
// fail or release.
type permit struct {
	began time.Duration // on the Source's monotonic clock
	probe bool          // from a half-open breaker; allows one attempt only

	// uncounted marks the issuance of a health check. The breaker ignores
	// its failure.
	uncounted bool
}

// A failedIssuance describes a failed issuance to the breaker.
type failedIssuance struct {
	account  Account
	held     bool // the account has had a token before
	inARow   int  // failed issuances of the account in a row, including this one
	cause    *Error
	revision string        // of the credentials that failed
	ended    time.Duration // on the Source's monotonic clock
}

// check returns the error of an open breaker, or nil.
func (b *breaker) check(now time.Duration, revision string) *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := b.cooldown.left(now, revision); left > 0 {
		return b.cooldown.cause.suppressed(left)
	}
	return nil
}

// acquire returns a permit, or an error if the breaker is open. It closes a
// breaker that opened because of credentials of another revision. Only a closed
// breaker gives an uncounted permit, which therefore never is that of the
// probe.
func (b *breaker) acquire(now time.Duration, revision string, uncounted bool) (*permit, *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cooldown.failures > 0 && b.cooldown.revision != revision {
		b.close()
	}
	p := &permit{began: now, uncounted: uncounted}
	if b.cooldown.failures == 0 {
		return p, nil
	}
	left := b.cooldown.left(now, revision)
	if b.probe != nil || uncounted {
		left = max(left, backoff.CooldownBase)
	}
	if left > 0 {
		return nil, b.cooldown.cause.suppressed(left)
	}
	p.probe, b.probe = true, p
	return p, nil
}

// succeed records a token that was issued for account, and closes the breaker.
// held is false for the first token of the account.
func (b *breaker) succeed(account Account, held bool, revision string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grantedRevision != revision {
		b.grantedRevision, b.grantedAccount = revision, false
	}
	b.granted = true
	b.grantedAccount = b.grantedAccount || account != Organization()
	if !held {
		b.holders++
	}
	b.close()
}

// close closes the breaker. The caller holds the lock.
func (b *breaker) close() {
	b.failed = b.failed[:0]
	b.cooldown = cooldown{}
	b.probe = nil
}

func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
}

// release returns a permit without an outcome. If the permit was that of the
// probe, the next issuance becomes the probe.
func (b *breaker) release(p *permit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probe == p {
		b.probe = nil
	}
}

// fail records the failure of the issuance with permit p. It returns the
// failure as the breaker interprets it: rejected accounts may mean rejected
// credentials.
func (b *breaker) fail(p *permit, f failedIssuance) *Error {
	// Neither a request that was never sent nor a health check counts.
	if f.cause.Kind == ErrMisconfigured || p.uncounted {
		b.release(p)
		return f.cause
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probe == p {
		return b.failProbe(p, f)
	}
	if b.cooldown.failures == 0 {
		return b.failClosed(p, f)
	}
	// The issuance began before the breaker opened. It does not prolong the
	// cooldown.
	return b.interpret(f)
}

// failProbe returns the failure of the probe, and closes or opens the breaker.
func (b *breaker) failProbe(p *permit, f failedIssuance) *Error {
	b.probe = nil
	switch rejected := isRejection(f.cause); {
	case rejected && !isRejection(b.cooldown.cause):
		// The endpoint answers again, so the outage is over. The
		// rejection counts like any other failure.
		b.close()
		return b.failClosed(p, f)
	case rejected && !b.mayBeGlobal(f):
		// A wrong account says nothing about the credentials. The next probe
		// follows soon.
		b.cooldown.until = f.ended + backoff.CooldownBase
		return f.cause
	default:
		return b.open(p, f)
	}
}

// failClosed counts a failure of a closed breaker, and opens the breaker at the
// threshold.
func (b *breaker) failClosed(p *permit, f failedIssuance) *Error {
	rejected := isRejection(f.cause)
	if rejected && !b.mayBeGlobal(f) {
		return f.cause
	}
	if rejected != b.rejections { // A rejection ends a series of outages, and vice versa.
		b.failed, b.rejections = b.failed[:0], rejected
	}
	if !slices.Contains(b.failed, f.account) {
		b.failed = append(b.failed, f.account)
	}
	switch {
	case f.account == Organization(), len(b.failed) >= breakerThreshold:
		return b.open(p, f)
	case rejected && f.inARow >= breakerThreshold && b.everyHolderFailed(f.revision):
		return asCredentialsRejected(f.cause)
	}
	return f.cause
}

// everyHolderFailed reports whether every account that has ever had a token is
// among the rejected accounts. It distinguishes wrong credentials from a wrong
// account if the Source has too few accounts to open the breaker.
func (b *breaker) everyHolderFailed(revision string) bool {
	return !b.grantedWith(revision) || len(b.failed) >= b.holders
}

// open opens the breaker. The cooldown grows with each consecutive failure.
func (b *breaker) open(p *permit, f failedIssuance) *Error {
	limit := backoff.CooldownLimit
	if isRejection(f.cause) {
		f.cause = asCredentialsRejected(f.cause)
		limit = cooldownLimitRejected
	}
	b.cooldown.add(f.cause, f.revision, p.began, f.ended, limit)
	return f.cause
}

// interpret returns the failure of an issuance that ended while the breaker was
// open.
func (b *breaker) interpret(f failedIssuance) *Error {
	if isRejection(b.cooldown.cause) && isRejection(f.cause) && b.mayBeGlobal(f) {
		return asCredentialsRejected(f.cause)
	}
	return f.cause
}

// mayBeGlobal reports whether a rejection may concern the credentials, and
// so every account.
//
// The rejection of an account may concern the credentials if the account has
// had a token before, or if no account has had a token. Otherwise made-up
// accounts could open the breaker for all accounts.
//
// The rejection of the organization depends on the credentials alone. It may
// concern them unless they have brought a token for an account: some
// credentials are valid for accounts only.
func (b *breaker) mayBeGlobal(f failedIssuance) bool {
	granted := b.grantedWith(f.revision)
	switch {
	case f.account == Organization():
		return !granted || !b.grantedAccount
	case f.cause.Kind == ErrCredentialsRejected: // The issuer is certain.
		return true
	default:
		return f.held || !granted
	}
}

// grantedWith reports whether the credentials of a revision have brought a
// token.
func (b *breaker) grantedWith(revision string) bool {
	return b.granted && b.grantedRevision == revision
}

// isRejection reports whether the token endpoint rejected the account or the
// credentials.
func isRejection(err *Error) bool {
	return err.Kind == ErrAccountRejected || err.Kind == ErrCredentialsRejected
}

// asCredentialsRejected returns a copy of a rejection with the kind
// ErrCredentialsRejected.
func asCredentialsRejected(err *Error) *Error {
	rejected := *err
	rejected.Kind = ErrCredentialsRejected
	return &rejected
}
