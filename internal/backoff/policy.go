// SPDX-License-Identifier: Apache-2.0

package backoff

import "time"

// The policy for the token endpoint. One process follows it, and a fleet
// follows it together.
const (
	// CooldownBase is the shortest cooldown, before jitter.
	CooldownBase = time.Second
	// CooldownLimit bounds a cooldown for most causes.
	CooldownLimit = 30 * time.Second
	// cooldownLimitRequested bounds a cooldown that a Retry-After requests.
	cooldownLimitRequested = time.Minute

	// RenewalBurst is how many renewals of refused tokens an account has at
	// once. It regains one after each [RenewalInterval].
	RenewalBurst = 3
	// renewalRefill is the part of a token's lifetime in which an account
	// regains one renewal.
	renewalRefill = 60
)

// Cooldown returns the time after a failure in which no issuance begins. The
// time doubles with each of the earlier failures up to limit, with jitter. If
// the endpoint sent Retry-After, the time is that instead, from a second to a
// minute.
func Cooldown(earlier int, retryAfter, limit time.Duration) time.Duration {
	if retryAfter > 0 {
		return min(max(retryAfter, CooldownBase), cooldownLimitRequested)
	}
	return EqualJitter(Exponential(earlier, CooldownBase, limit))
}

// RenewalInterval returns the time after which an account regains a renewal of
// a token with this lifetime.
func RenewalInterval(lifetime time.Duration) time.Duration { return lifetime / renewalRefill }
