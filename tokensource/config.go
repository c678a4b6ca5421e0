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

// Config is how a [Source] is configured. Only Issuer is required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Issuer obtains the tokens.
	Issuer Issuer

	// MaxAccounts is how many accounts' tokens are kept; beyond it, those used
	// least recently are forgotten, roughly. 0 means 10,000. Tokens that were
	// not used for 15 minutes may be forgotten earlier.
	MaxAccounts int

	// MaxIssuances is how many issuances run at once, over all accounts; 64
	// times as many may wait for their turn. 0 means 16.
	MaxIssuances int

	// IssueTimeout is how long one issuance may take, waiting for its turn
	// included. 0 means 10 seconds.
	IssueTimeout time.Duration

	// Hooks are told what happens.
	Hooks Hooks
}

// validate returns every fault, joined by errors.Join.
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

// limits returns the limits of a configuration.
func (c *Config) limits() Limits {
	return Limits{MaxAccounts: c.MaxAccounts, MaxIssuances: c.MaxIssuances, IssueTimeout: c.IssueTimeout}
}
