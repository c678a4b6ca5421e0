// SPDX-License-Identifier: Apache-2.0

package backoff_test

import (
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

func TestCooldown_DoublesOrFollowsTheServer(t *testing.T) {
	for _, tt := range []struct {
		earlier           int
		retryAfter, limit time.Duration
		least, most       time.Duration
	}{
		{0, 0, backoff.CooldownLimit, 500 * time.Millisecond, time.Second},
		{3, 0, backoff.CooldownLimit, 4 * time.Second, 8 * time.Second},
		{-2, 0, backoff.CooldownLimit, 500 * time.Millisecond, time.Second},
		{50, 0, backoff.CooldownLimit, 15 * time.Second, 30 * time.Second},
		{50, 0, time.Second, 500 * time.Millisecond, time.Second},
		{5, time.Millisecond, backoff.CooldownLimit, time.Second, time.Second},
		{0, 45 * time.Second, backoff.CooldownLimit, 45 * time.Second, 45 * time.Second},
		{0, time.Hour, backoff.CooldownLimit, time.Minute, time.Minute},
	} {
		least, most := extremes(func() time.Duration { return backoff.Cooldown(tt.earlier, tt.retryAfter, tt.limit) })
		if least < tt.least || most > tt.most {
			t.Errorf("Cooldown(%d, %v, %v) is from %v to %v, want %v to %v", tt.earlier, tt.retryAfter, tt.limit, least, most, tt.least, tt.most)
		}
	}
}

func TestRenewalInterval_IsPartOfTheLifetime(t *testing.T) {
	if got := backoff.RenewalInterval(10 * time.Minute); got != 10*time.Second {
		t.Errorf("a token of 10 minutes regains a renewal after %v, want 10s", got)
	}
}
