package tokensource

import (
	"slices"
	"sync"
	"time"
)

// breakerThreshold is how many different accounts must fail in a row before
// the breaker takes their failures for a failure of the endpoint, or of the
// credentials.
const breakerThreshold = 3

// A breaker stands between all issuances of a Source and its issuer. It opens
// when a failure concerns every account: when several accounts have failed with
// no success between, or the organization has. While it is open, no issuance
// reaches the issuer. When its cooldown is over it is half-open: it lets one
// issuance through, and what comes of that one closes it or opens it again.
type breaker struct {
	mu     sync.Mutex
	failed []Account // different ones since the last success, while closed
	// rejections says that those in failed were rejected. Otherwise the
	// endpoint failed.
	rejections bool
	cooldown   cooldown // the breaker is not closed if this has failures
	trial      *permit  // of the issuance that a half-open breaker let through

	// What was granted tells a wrong account from wrong credentials, which the
	// token endpoint answers alike.
	granted         bool   // a token, to anyone, with credentials of grantedRevision
	grantedAccount  bool   // likewise, to an account and not the organization
	grantedRevision string // of the credentials that were last granted a token
	holders         int    // how many accounts have ever been granted a token
}

// A permit lets one issuance ask the issuer. Whoever holds it must call
// succeed, fail or release.
type permit struct {
	began time.Duration // on the Source's monotonic clock
	trial bool          // a half-open breaker gave it; it asks only once

	// uncounted is for the issuance of a health check: its failure says
	// nothing to the breaker.
	uncounted bool
}

// A failedIssuance is what the breaker has to know of an issuance that failed.
type failedIssuance struct {
	account  Account
	held     bool // the account has had a token before
	inARow   int  // how many issuances of the account have failed in a row, with this one
	cause    *Error
	revision string        // of the credentials that failed
	ended    time.Duration // on the Source's monotonic clock
}

// check returns the error that an open breaker answers with, or nil.
func (b *breaker) check(now time.Duration, revision string) *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := b.cooldown.left(now, revision); left > 0 {
		return b.cooldown.cause.suppressed(left)
	}
	return nil
}

// acquire returns a permit, or the error of a breaker that gives none. It
// closes a breaker that opened because of other credentials. An uncounted
// permit is for a closed breaker only: it is never that of the trial.
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
	if b.trial != nil || uncounted {
		left = max(left, cooldownBase)
	}
	if left > 0 {
		return nil, b.cooldown.cause.suppressed(left)
	}
	p.trial, b.trial = true, p
	return p, nil
}

// succeed notes that a token was issued for account, the first one ever if
// held is false. It closes the breaker.
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
	b.trial = nil
}

// reset closes the breaker for an operator.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
}

// release gives a permit back that has proved nothing. If it was that of the
// trial, the next issuance takes its place.
func (b *breaker) release(p *permit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trial == p {
		b.trial = nil
	}
}

// fail notes that the issuance with permit p has failed. It returns the failure
// as the breaker understands it: rejected accounts may be rejected credentials.
func (b *breaker) fail(p *permit, f failedIssuance) *Error {
	if f.cause.Kind == ErrMisconfigured || p.uncounted { // The endpoint was not asked, or not for a user.
		b.release(p)
		return f.cause
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trial == p {
		return b.failTrial(p, f)
	}
	if b.cooldown.failures == 0 {
		return b.failClosed(p, f)
	}
	// The issuance had begun before the breaker opened, and prolongs nothing.
	return b.understood(f)
}

// failTrial decides what the failure of a trial means.
func (b *breaker) failTrial(p *permit, f failedIssuance) *Error {
	b.trial = nil
	switch rejected := isRejection(f.cause); {
	case rejected && !isRejection(b.cooldown.cause):
		// The endpoint answers again, which ends an outage. What it says of
		// this account is a failure like any other.
		b.close()
		return b.failClosed(p, f)
	case rejected && !b.speaksForOthers(f):
		// A wrong account says nothing about the credentials. The next trial
		// follows soon.
		b.cooldown.until = f.ended + cooldownBase
		return f.cause
	default:
		return b.open(p, f)
	}
}

// failClosed counts a failure, and opens the breaker if it was one too many.
func (b *breaker) failClosed(p *permit, f failedIssuance) *Error {
	rejected := isRejection(f.cause)
	if rejected && !b.speaksForOthers(f) {
		return f.cause
	}
	if rejected != b.rejections { // An endpoint that rejects is not down, and the other way around.
		b.failed, b.rejections = b.failed[:0], rejected
	}
	if !slices.Contains(b.failed, f.account) {
		b.failed = append(b.failed, f.account)
	}
	switch {
	case f.account == Organization(), len(b.failed) >= breakerThreshold:
		return b.open(p, f)
	case rejected && f.inARow >= breakerThreshold && b.noneElse(f.revision):
		return asCredentialsRejected(f.cause)
	}
	return f.cause
}

// noneElse reports whether every account that has ever had a token is among
// those that were rejected. Where there are too few accounts for the breaker,
// this tells wrong credentials from a wrong account.
func (b *breaker) noneElse(revision string) bool {
	return !b.grantedWith(revision) || len(b.failed) >= b.holders
}

// open opens the breaker, for longer each time in a row.
func (b *breaker) open(p *permit, f failedIssuance) *Error {
	limit := cooldownLimit
	if isRejection(f.cause) {
		f.cause = asCredentialsRejected(f.cause)
		limit = cooldownLimitRejected
	}
	b.cooldown.add(f.cause, f.revision, p.began, f.ended, limit)
	return f.cause
}

// understood returns a failure that ended while the breaker was open already.
func (b *breaker) understood(f failedIssuance) *Error {
	if isRejection(b.cooldown.cause) && isRejection(f.cause) && b.speaksForOthers(f) {
		return asCredentialsRejected(f.cause)
	}
	return f.cause
}

// speaksForOthers reports whether a rejection may concern the credentials.
//
// For an account it may if the account has had a token before, or if no one has:
// made-up accounts must not open the breaker for the others. For the
// organization, which has nothing but the credentials, it may unless an account
// was granted a token with them: the same key can be good for accounts only.
func (b *breaker) speaksForOthers(f failedIssuance) bool {
	granted := b.grantedWith(f.revision)
	switch {
	case f.account == Organization():
		return !granted || !b.grantedAccount
	case f.cause.Kind == ErrCredentialsRejected: // The issuer knows.
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

// isRejection reports whether the token endpoint has refused the account or the
// credentials.
func isRejection(err *Error) bool {
	return err.Kind == ErrAccountRejected || err.Kind == ErrCredentialsRejected
}

// asCredentialsRejected returns a rejection as one of the credentials.
func asCredentialsRejected(err *Error) *Error {
	rejected := *err
	rejected.Kind = ErrCredentialsRejected
	return &rejected
}
