// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	// threshold is the number of failures in a row that begin a cooldown for
	// all accounts.
	threshold = 3
	// memory is how long failures are remembered after their cooldown.
	memory = time.Minute
)

// A cooldown is what one issuance knows of the shared failures under a name.
type cooldown struct {
	name      string
	threshold int
	value     []byte // as read
	record    failureRecord
	poisoned  bool // the value is not one of the fleet
	probing   bool // the issuance holds the lease of the half-open cooldown
}

// check reads the shared failures. It returns an error while their cooldown
// lasts. After the cooldown, one issuance of the fleet may try.
func (o *issuance) check(ctx context.Context, c *cooldown) *tokensource.Error {
	left, ok := o.readFailures(ctx, c)
	if !ok || !c.record.Open {
		return nil
	}
	if left > c.record.Memory {
		return c.error(left - c.record.Memory)
	}
	again, err := o.claim(ctx, c.name, Ask{Owner: o.owner, Lease: lease(ctx), Except: c.value})
	switch {
	case err != nil:
		return nil //nolint:nilerr // Without the Store, nothing is shared.
	case again.Leased:
		c.probing = true
		return nil
	case again.Value == nil:
		return c.error(backoff.CooldownBase) // Another process tries.
	}
	// Another process has just tried.
	if !o.openFailures(ctx, c, again) || !c.record.Open {
		return nil
	}
	return c.error(max(again.Left-c.record.Memory, backoff.CooldownBase))
}

// readFailures reads the record under c.name. It reports whether there is one.
func (o *issuance) readFailures(ctx context.Context, c *cooldown) (time.Duration, bool) {
	found, err := o.claim(ctx, c.name, Ask{Owner: o.owner})
	c.value, c.record, c.poisoned = nil, failureRecord{}, false
	if err != nil || found.Value == nil {
		return 0, false
	}
	return found.Left, o.openFailures(ctx, c, found)
}

// openFailures opens the claimed record. It reports whether it can be used.
func (o *issuance) openFailures(ctx context.Context, c *cooldown, found Claim) bool {
	c.value, c.record = found.Value, failureRecord{}
	c.poisoned = !o.open(ctx, c.name, found, &c.record)
	if c.poisoned {
		c.record = failureRecord{}
	}
	return !c.poisoned
}

// error returns the shared failure for a process that may not try.
func (c *cooldown) error(wait time.Duration) *tokensource.Error {
	e := tokensource.NewError(c.record.Kind, errShared)
	e.StatusCode, e.RetryAfter = c.record.Status, wait
	return e
}

// succeed ends the shared failures, and replaces a poisoned record.
func (o *issuance) succeed(ctx context.Context, c *cooldown) {
	if c.value == nil || c.record.Failures == 0 && !c.probing && !c.poisoned {
		return
	}
	o.publish(ctx, c.name, Publication{Replaces: c.value}, failureRecord{TTL: backoff.CooldownBase}, backoff.CooldownBase)
}

// release ends the probe of an issuance that says nothing about the endpoint.
func (o *issuance) release(ctx context.Context, c *cooldown) {
	if c.probing {
		o.end(ctx, c.name)
	}
}

// fail shares a failure. It tries again if another process has shared one in
// the meantime, so that none is lost.
func (o *issuance) fail(ctx context.Context, c *cooldown, cause *tokensource.Error) {
	for range 3 {
		next := failureRecord{
			Failures: c.record.Failures + 1,
			Kind:     cause.Kind,
			Status:   cause.StatusCode,
			Memory:   memory,
		}
		ttl := memory
		if next.Failures >= c.threshold || cause.Kind == tokensource.ErrRateLimited {
			next.Open = true
			ttl += backoff.Cooldown(next.Failures-c.threshold, cause.RetryAfter, backoff.CooldownLimit)
		}
		next.TTL = ttl
		if o.publish(ctx, c.name, Publication{Replaces: c.value}, next, ttl) {
			return
		}
		if _, ok := o.readFailures(ctx, c); !ok || c.record.Open {
			return
		}
	}
}

// concernsAll reports whether a failure says something about the endpoint.
func concernsAll(kind tokensource.ErrorKind) bool {
	switch kind {
	case tokensource.ErrUnavailable, tokensource.ErrTimeout, tokensource.ErrRateLimited,
		tokensource.ErrMalformedResponse, tokensource.ErrCredentialsRejected:
		return true
	}
	return false
}

// concernsAccount reports whether a failure says something about the account.
func concernsAccount(kind tokensource.ErrorKind) bool {
	return kind == tokensource.ErrAccountRejected || kind == tokensource.ErrAccountMismatch
}
