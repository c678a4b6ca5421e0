package tokensource

import (
	"errors"
	"time"
)

const (
	defaultMaxAccounts  = 10_000
	defaultMaxIssuances = 16
	defaultIssueTimeout = 10 * time.Second
	queuedPerIssuance   = 64
)

// Limits are the limits of a [Source] that can be changed while it runs. The
// fields are those of the same names in [Config], and have the same defaults.
type Limits struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	MaxAccounts  int
	MaxIssuances int
	IssueTimeout time.Duration
}

// SetLimits replaces the limits of a Source, for a program that reads its
// configuration anew. Tokens are kept. Issuances that have begun keep the limits
// that they began with, so that for as long as they run there may be more of
// them than the new limit allows; accounts beyond a lower limit are forgotten
// when the next one comes. The error names every fault, and nothing is changed
// then. It is safe for concurrent use.
func (s *Source) SetLimits(l Limits) error {
	if err := l.Validate(); err != nil {
		return err
	}
	s.entries.SetLimit(orDefault(l.MaxAccounts, defaultMaxAccounts))
	for {
		before := s.limits.Load()
		if s.limits.CompareAndSwap(before, newLimits(l, before)) {
			return nil
		}
	}
}

// Validate returns every fault, joined by errors.Join.
func (l *Limits) Validate() error {
	var faults []error
	if l.MaxAccounts < 0 {
		faults = append(faults, &ConfigError{"Config.MaxAccounts", "is negative; leave it 0 for 10,000"})
	}
	if l.MaxIssuances < 0 {
		faults = append(faults, &ConfigError{"Config.MaxIssuances", "is negative; leave it 0 for 16"})
	}
	if l.IssueTimeout < 0 {
		faults = append(faults, &ConfigError{"Config.IssueTimeout", "is negative; leave it 0 for 10s"})
	}
	return errors.Join(faults...)
}

// limits returns the limits of a configuration.
func (c *Config) limits() Limits {
	return Limits{MaxAccounts: c.MaxAccounts, MaxIssuances: c.MaxIssuances, IssueTimeout: c.IssueTimeout}
}

// limits are the limits that an issuance begins with.
type limits struct {
	timeout      time.Duration
	maxIssuances int
	slots        *slots
}

// newLimits returns what l means. It keeps the slots of the limits before, if
// their number is the same.
func newLimits(l Limits, before *limits) *limits {
	next := &limits{
		timeout:      orDefault(l.IssueTimeout, defaultIssueTimeout),
		maxIssuances: orDefault(l.MaxIssuances, defaultMaxIssuances),
	}
	if before != nil && before.maxIssuances == next.maxIssuances {
		next.slots = before.slots
	} else {
		next.slots = newSlots(next.maxIssuances, queuedPerIssuance)
	}
	return next
}
