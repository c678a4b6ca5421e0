// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	firstPoll = 10 * time.Millisecond
	lastPoll  = 200 * time.Millisecond
	// defaultTimeout is the time of an issuance whose context has no deadline.
	defaultTimeout = 10 * time.Second
)

// defaultLifetime is that of a refused token whose lifetime is unknown: the ten
// minutes of Pismo.
const defaultLifetime = 10 * time.Minute

// An issuance is one call of Reissue.
type issuance struct {
	issuer *Issuer
	keys   *keys
	need   tokensource.Need
	owner  string
	name   string // of the token
	began  time.Time

	value  []byte // the value under name that does not serve the need
	leased bool   // the issuance holds the lease on name
}

// run returns a shared token, or a new one.
func (o *issuance) run(ctx context.Context) (tokensource.Grant, error) {
	grant, found, err := o.await(ctx)
	if found || err != nil {
		return grant, err
	}
	account := &cooldown{name: o.keys.name(forAccount, o.need.Account), threshold: 1}
	all := &cooldown{name: o.keys.name(forAll, tokensource.Account{}), threshold: threshold}
	if err := o.mayIssue(ctx, account, all); err != nil {
		o.end(ctx, o.name)
		return tokensource.Grant{}, err
	}
	asked := time.Now()
	grant, life, err := o.ask(ctx, account, all)
	// The result is worth sharing even if nobody waits for it any more.
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		o.shareFailure(ctx, account, all, err)
		return tokensource.Grant{}, err
	}
	left := life - max(grant.Age, 0) - time.Since(asked)
	if left > 0 {
		o.publish(ctx, o.name, Publication{Replaces: o.value}, newTokenRecord(grant, life, left), left)
	} else {
		o.end(ctx, o.name)
	}
	o.succeed(ctx, account)
	o.succeed(ctx, all)
	return grant, nil
}

// ask asks the inner Issuer, and keeps the lease meanwhile. A panic ends the
// lease, and those of probes, before it goes on.
func (o *issuance) ask(ctx context.Context, probes ...*cooldown) (grant tokensource.Grant, life time.Duration, err error) {
	returned := false
	defer func() {
		if !returned {
			ctx := context.WithoutCancel(ctx)
			for _, probe := range probes {
				o.release(ctx, probe)
			}
			o.end(ctx, o.name)
		}
	}()
	defer o.keepLease(ctx)()
	if grant, err = o.issuer.inner(ctx, o.need); err == nil {
		life, err = grant.Verify(o.need.Account)
	}
	returned = true
	return grant, life, err
}

// await waits until a shared token serves the need, until this issuance has the
// lease, or until its patience is over. It reports whether it found a token.
func (o *issuance) await(ctx context.Context) (tokensource.Grant, bool, error) {
	patience := patienceFor(ctx)
	for n := 0; ; n++ {
		claim, err := o.claim(ctx, o.name, Ask{Owner: o.owner, Lease: leaseLength, Except: o.value})
		switch {
		case ctx.Err() != nil:
			return tokensource.Grant{}, false, ctx.Err()
		case err != nil:
			return tokensource.Grant{}, false, nil //nolint:nilerr // Without the Store, the inner Issuer is asked.
		case claim.Leased:
			o.leased = true
			return tokensource.Grant{}, false, nil
		case claim.Value != nil && !sameValue(claim.Value, o.value):
			if grant, ok := o.read(ctx, claim); ok {
				return grant, true, nil
			}
			o.value = claim.Value
			if time.Since(o.began) < patience {
				continue // Claim it, except for this value.
			}
		}
		poll := backoff.EqualJitter(backoff.Exponential(n, firstPoll, lastPoll))
		if time.Since(o.began)+poll > patience {
			return tokensource.Grant{}, false, nil
		}
		if err := pause(ctx, poll); err != nil {
			return tokensource.Grant{}, false, err
		}
	}
}

// read returns the grant of a claimed value if it serves the need.
func (o *issuance) read(ctx context.Context, claim Claim) (tokensource.Grant, bool) {
	var record tokenRecord
	if !o.open(ctx, o.name, claim, &record) {
		return tokensource.Grant{}, false
	}
	left := min(claim.Left, record.TTL)
	if !record.serves(o.need, left) {
		return tokensource.Grant{}, false
	}
	grant := record.grant(left, time.Since(o.began))
	if _, err := grant.Verify(o.need.Account); err != nil {
		return tokensource.Grant{}, false
	}
	o.issuer.tally.adopted.Add(1)
	return grant, true
}

// mayIssue returns an error while a shared cooldown lasts, or if the budget
// for the renewals of refused tokens is spent. The budget is that of a Source,
// but for the whole fleet.
func (o *issuance) mayIssue(ctx context.Context, account, all *cooldown) error {
	if err := o.check(ctx, account); err != nil {
		return err
	}
	if err := o.check(ctx, all); err != nil {
		o.release(ctx, account)
		return err
	}
	if o.need.Reason != tokensource.ReasonRefused && o.need.Reason != tokensource.ReasonSuspected {
		return nil
	}
	life := o.need.ReplacedLifetime
	if life <= 0 {
		life = defaultLifetime
	}
	refill := backoff.RenewalInterval(life)
	wait, err := call(ctx, o.issuer, OpTake, taken, func(ctx context.Context) (time.Duration, error) {
		wait, err := o.issuer.config.Store.Take(ctx, o.keys.name(forBudget, o.need.Account), backoff.RenewalBurst, refill)
		if err == nil && wait > backoff.RenewalInterval(max(life, defaultLifetime))+rounding {
			err = errLongWait
		}
		return wait, err
	})
	if err != nil || wait <= 0 {
		return nil //nolint:nilerr // Without the Store, the Source's own budget counts.
	}
	o.release(ctx, account)
	o.release(ctx, all)
	limited := tokensource.NewError(tokensource.ErrRenewalLimited, nil)
	limited.RetryAfter = wait
	return limited
}

// shareFailure ends the lease and shares a failure. A failure has a name of its
// own, so it never hides a token that lives.
func (o *issuance) shareFailure(ctx context.Context, account, all *cooldown, err error) {
	cause := &tokensource.Error{Kind: tokensource.ErrUnavailable}
	if e, ok := errors.AsType[*tokensource.Error](err); ok && e != nil {
		cause = e
	} else if errors.Is(err, context.DeadlineExceeded) {
		cause = &tokensource.Error{Kind: tokensource.ErrTimeout}
	} else if errors.Is(err, context.Canceled) { // It says nothing about the endpoint.
		cause = &tokensource.Error{Kind: tokensource.ErrCanceled}
	}
	if concernsAll(cause.Kind) {
		o.fail(ctx, all, cause)
	} else {
		o.release(ctx, all)
	}
	if concernsAccount(cause.Kind) {
		o.fail(ctx, account, cause)
	} else {
		o.release(ctx, account)
	}
	// The lease ends last: the next holder finds the failure.
	o.end(ctx, o.name)
}

// claim calls the Store. The time that the answer took counts as lived.
func (o *issuance) claim(ctx context.Context, name string, ask Ask) (Claim, error) {
	asked := time.Now()
	claim, err := call(ctx, o.issuer, OpClaim, claimed, func(ctx context.Context) (Claim, error) {
		return o.issuer.config.Store.Claim(ctx, name, ask)
	})
	claim.Left -= time.Since(asked)
	return claim, err
}

// publish seals and publishes a record. It reports whether the Store took it.
func (o *issuance) publish(ctx context.Context, name string, p Publication, record any, ttl time.Duration) bool {
	value, err := o.keys.seal(name, record)
	if err != nil {
		return false
	}
	p.Owner, p.Value, p.TTL = o.owner, value, ttl
	stored, err := call(ctx, o.issuer, OpPublish, published, func(ctx context.Context) (bool, error) {
		return o.issuer.config.Store.Publish(ctx, name, p)
	})
	return err == nil && stored
}

// end ends the lease on a name, and leaves the value that is there.
func (o *issuance) end(ctx context.Context, name string) {
	_, _ = call(ctx, o.issuer, OpPublish, released, func(ctx context.Context) (bool, error) {
		return o.issuer.config.Store.Publish(ctx, name, Publication{Owner: o.owner})
	})
}

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
