// SPDX-License-Identifier: Apache-2.0

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

// Config configures a [Source]. Only Issuer is required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Issuer obtains the tokens. Required.
	Issuer Issuer

	// MaxAccounts is the number of accounts whose tokens the Source keeps.
	// 0 means 10,000. Beyond that number the Source evicts roughly the
	// accounts used least recently. It may evict tokens earlier that were
	// not used for 15 minutes.
	MaxAccounts int

	// MaxIssuances is the number of issuances that run at once, over all
	// accounts. 0 means 16. 64 times as many issuances may wait for a slot.
	MaxIssuances int

	// IssueTimeout bounds the duration of one issuance, including its wait
	// for a slot. 0 means 10 seconds.
	IssueTimeout time.Duration

	// Hooks observe the Source. The zero Hooks observe nothing.
	Hooks Hooks
}

// validate returns every fault in the configuration, joined by errors.Join.
func (c *Config) validate() error {
	var faults []error
	if c.Issuer == nil {
		faults = append(faults, &ConfigError{"Config.Issuer", "is not set; use a *passport.S2S"})
	} else if v, ok := c.Issuer.(interface{ Validate() error }); ok {
		faults = append(faults, v.Validate())
	}
	limits := c.limits()
	faults = append(faults, limits.Validate())
	return errors.Join(faults...)
}

// withDefaults returns the configuration with a value for each optional field
// that has a default.
func (c Config) withDefaults() Config {
	limits := c.limits().withDefaults()
	c.MaxAccounts, c.MaxIssuances, c.IssueTimeout = limits.MaxAccounts, limits.MaxIssuances, limits.IssueTimeout
	return c
}

func (c *Config) limits() Limits {
	return Limits{MaxAccounts: c.MaxAccounts, MaxIssuances: c.MaxIssuances, IssueTimeout: c.IssueTimeout}
}
