package tokensource

import (
	"slices"
	"sync"
	"time"
)

// gateFailures is how many different accounts must fail in a row before their
// failures are taken for the endpoint's, or the credentials'.
const gateFailures = 3

// A gate stands between all issuances of a Source and its issuer. It closes
// when failures look like everybody's: several accounts failed with no success
// between, or the organization did, see speaksForAll. When it has cooled, one issuance goes
// through on trial, and the rest wait for what becomes of it.
type gate struct {
	mu      sync.Mutex
	failed  []Account // different ones, since the last success; at most gateFailures
	cooling cooling   // closed if it has failures
	trial   bool      // an issuance is on trial
	granted Account   // the last account that a token was issued for
}

// A pass says how an issuance goes through the gate.
type pass struct {
	queued time.Duration // how long the issuance had waited for its turn
	began  time.Duration // on the Source's monotonic clock
	trial  bool
	// probe is an account to try first, unless it is being asked for already: on
	// trial, an account that had a token before says more about the endpoint
	// than one that never had.
	probe Account
}

// check returns the error that a closed gate answers with, without asking for
// passage.
func (g *gate) check(now time.Duration, revision string) *Error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left := g.cooling.left(now, revision); left > 0 {
		return g.cooling.cause.suppressed(left)
	}
	return nil
}

// enter asks for passage. Who gets it must call succeed, fail or leave.
func (g *gate) enter(now time.Duration, revision string) (pass, *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cooling.failures > 0 && g.cooling.revision != revision {
		g.open()
	}
	if g.cooling.failures == 0 {
		return pass{began: now}, nil
	}
	left := g.cooling.left(now, revision)
	if g.trial {
		left = max(left, coolingBase)
	}
	if left > 0 {
		return pass{}, g.cooling.cause.suppressed(left)
	}
	g.trial = true
	return pass{began: now, trial: true, probe: g.granted}, nil
}

// succeed notes that a token was issued for account, which opens the gate.
func (g *gate) succeed(account Account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.granted = account
	g.open()
}

func (g *gate) open() {
	g.failed = g.failed[:0]
	g.cooling = cooling{}
	g.trial = false
}

// leave notes that an issuance which had entered has proved nothing. If it was
// the one on trial, the next takes its place.
func (g *gate) leave(p pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trial = g.trial && !p.trial
}

// fail notes that an issuance which had entered has failed. A closed gate cares
// only about the one on trial: the others had entered before it closed.
func (g *gate) fail(p pass, account Account, cause *Error, revision string, now time.Duration) {
	if cause.Kind == ErrMisconfigured { // The endpoint was not asked.
		g.leave(p)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case p.trial && g.trial: // Unless a success has opened the gate meanwhile.
		g.trial = false
		if cause.Kind == ErrAccountRejected && g.granted == account {
			g.granted = Account{} // It is closed by now, and proves nothing any more.
		}
	case g.cooling.failures > 0:
		return
	default:
		if !slices.Contains(g.failed, account) {
			g.failed = append(g.failed, account)
		}
		if len(g.failed) < gateFailures && !g.speaksForAll(account, cause) {
			return
		}
	}
	limit := coolingLimit
	if cause.Kind == ErrAccountRejected {
		// Passport answers 401 for bad credentials and for a bad account alike.
		everybody := *cause
		everybody.Kind = ErrCredentialsRejected
		cause = &everybody
	}
	if cause.Kind == ErrCredentialsRejected {
		limit = coolingLimitRejected
	}
	g.cooling.add(cause, revision, p.began, now, limit)
}

// speaksForAll reports whether the failure of one account is everybody's: that of
// the organization is, which has nothing but the credentials. Unless an account
// was given a token for them: credentials may be good for that, and not for the
// organization's.
func (g *gate) speaksForAll(account Account, cause *Error) bool {
	rejected := cause.Kind == ErrCredentialsRejected || cause.Kind == ErrAccountRejected
	proved := g.granted != (Account{}) && g.granted != Organization()
	return account == Organization() && (!rejected || !proved)
}
