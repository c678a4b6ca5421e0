// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// The lengths of a cooldown.
const (
	cooldownBase = time.Second
	// cooldownLimit bounds a cooldown for most causes.
	cooldownLimit = 30 * time.Second
	// cooldownLimitRejected bounds the cooldown of a Source whose
	// credentials are rejected. Waiting does not correct credentials.
	cooldownLimitRejected = 5 * time.Minute
	// cooldownLimitRequested bounds a cooldown that a Retry-After requests.
	cooldownLimitRequested = time.Minute
)

// A cooldown is the time after failed issuances in which none begins. The zero
// cooldown follows no failure.
type cooldown struct {
	failures int // in a row
	cause    *Error
	until    time.Duration // on the Source's monotonic clock
	revision string        // of the credentials that failed
}

// add records the failure of an issuance that began at began. The delay doubles
// with each failure up to a limit. If the endpoint sent Retry-After, the delay
// is that instead, but at least a second. The limit counts from the beginning
// of the issuance. So the first success after an endpoint hung comes within the
// limit, too.
func (c *cooldown) add(cause *Error, revision string, began, now, limit time.Duration) {
	limit = max(limit-(now-began), cooldownBase)
	delay := backoff.EqualJitter(backoff.Exponential(c.failures, cooldownBase, limit))
	if cause.RetryAfter > 0 {
		delay = min(max(cause.RetryAfter, cooldownBase), cooldownLimitRequested)
	}
	*c = cooldown{c.failures + 1, cause, now + delay, revision}
}

// left returns the time until the cooldown ends, or 0 if an issuance may begin.
// Failures with credentials of another revision do not count.
func (c *cooldown) left(now time.Duration, revision string) time.Duration {
	if c.failures == 0 || c.revision != revision {
		return 0
	}
	return max(c.until-now, 0)
}
