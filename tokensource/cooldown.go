// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// cooldownLimitRejected bounds the cooldown of a Source whose credentials are
// rejected. Waiting does not correct credentials.
const cooldownLimitRejected = 5 * time.Minute

// A cooldown is the time after failed issuances in which none begins. The zero
// cooldown follows no failure.
type cooldown struct {
	failures int // in a row
	cause    *Error
	until    time.Duration // on the Source's monotonic clock
	revision string        // of the credentials that failed
}

// add records the failure of an issuance that began at began. The limit counts
// from the beginning of the issuance. So the first success after an endpoint
// hung comes within the limit, too.
func (c *cooldown) add(cause *Error, revision string, began, now, limit time.Duration) {
	limit = max(limit-(now-began), backoff.CooldownBase)
	delay := backoff.Cooldown(c.failures, cause.RetryAfter, limit)
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
