package tokensource

import (
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

// How long no issuance follows a failed one.
const (
	cooldownBase = time.Second
	// cooldownLimit bounds the delay for most causes.
	cooldownLimit = 30 * time.Second
	// cooldownLimitRejected bounds that of a Source whose credentials are
	// rejected: waiting does not mend them.
	cooldownLimitRejected = 5 * time.Minute
	// cooldownLimitRequested bounds what a Retry-After can ask for.
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

// add notes another failure, of an issuance that began some time ago. The delay
// doubles with each failure up to a limit, unless the endpoint said how long to
// wait; a Retry-After below a second counts as a second. The limit counts from
// the beginning of the issuance, so that the first success comes within it after
// an endpoint that hung, too.
func (c *cooldown) add(cause *Error, revision string, began, now, limit time.Duration) {
	limit = max(limit-(now-began), cooldownBase)
	delay := backoff.EqualJitter(backoff.Exponential(c.failures, cooldownBase, limit))
	if cause.RetryAfter > 0 {
		delay = min(max(cause.RetryAfter, cooldownBase), cooldownLimitRequested)
	}
	*c = cooldown{c.failures + 1, cause, now + delay, revision}
}

// left returns how long the cooldown lasts, and 0 if an issuance may begin.
// Failures with other credentials than the present ones do not count.
func (c *cooldown) left(now time.Duration, revision string) time.Duration {
	if c.failures == 0 || c.revision != revision {
		return 0
	}
	return max(c.until-now, 0)
}
