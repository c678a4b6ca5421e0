// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"cmp"
	"errors"
	"time"
)

// Limits are the limits of a [Source] that can change while it runs. Each field
// has the meaning and the default of the field of the same name in [Config].
type Limits struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	MaxAccounts  int
	MaxIssuances int
	IssueTimeout time.Duration
}

// SetLimits replaces the limits of a Source, for a program that reloads its
// configuration. It keeps the tokens. An issuance that has begun keeps its old
// limits, so the number of running issuances may exceed a lower limit until
// they end. The Source evicts accounts beyond a lower limit when the next
// account arrives. If a limit is invalid, SetLimits changes nothing and reports
// every fault. It is safe for concurrent use.
func (s *Source) SetLimits(l Limits) error {
	if err := l.Validate(); err != nil {
		return err
	}
	l = l.withDefaults()
	s.entries.SetLimit(l.MaxAccounts)
	for {
		before := s.limits.Load()
		if s.limits.CompareAndSwap(before, newLimits(l, before)) {
			return nil
		}
	}
}

// Validate returns every fault in the limits, joined by errors.Join.
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

// withDefaults returns the limits with a value for each field that is 0.
func (l Limits) withDefaults() Limits {
	l.MaxAccounts = cmp.Or(l.MaxAccounts, defaultMaxAccounts)
	l.MaxIssuances = cmp.Or(l.MaxIssuances, defaultMaxIssuances)
	l.IssueTimeout = cmp.Or(l.IssueTimeout, defaultIssueTimeout)
	return l
}

// limits are the limits that an issuance uses until it ends.
type limits struct {
	timeout      time.Duration
	maxIssuances int
	slots        *slots
}

// newLimits returns the limits for l, whose fields are set. It keeps the slots
// of the limits before if their number is the same.
func newLimits(l Limits, before *limits) *limits {
	next := &limits{timeout: l.IssueTimeout, maxIssuances: l.MaxIssuances}
	if before != nil && before.maxIssuances == next.maxIssuances {
		next.slots = before.slots
	} else {
		next.slots = newSlots(next.maxIssuances, queuedPerIssuance)
	}
	return next
}
