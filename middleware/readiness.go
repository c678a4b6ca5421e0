// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// ReadinessConfig is the configuration of a readiness probe. Source and Account
// are required.
type ReadinessConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Source provides the tokens.
	Source *tokensource.Source

	// Account is the account to request a token for while the Source has no token
	// of any account. Choose an account that the program works with. Do not choose
	// the organization if the program does not use the organization's token: if
	// the platform refuses that token, the Source takes its credentials for
	// rejected, and requests no tokens for any account for a while.
	Account tokensource.Account

	// Interval is the least time between two token requests of the probe. 0
	// means 10 seconds.
	Interval time.Duration
}

const defaultReadinessInterval = 10 * time.Second

// validate reports every fault of c.
func (c *ReadinessConfig) validate() error {
	var faults []error
	fault := func(field, reason string) {
		faults = append(faults, &tokensource.ConfigError{Field: "ReadinessConfig." + field, Reason: reason})
	}
	if c.Source == nil {
		fault("Source", "is not set; use tokensource.New")
	}
	if c.Account == (tokensource.Account{}) {
		fault("Account", "is not set; name the account to ask for, or tokensource.Organization")
	}
	if c.Interval < 0 {
		fault("Interval", "is negative; leave it 0 for 10s")
	}
	return errors.Join(faults...)
}

// withDefaults returns c with a value for each field that is not set.
func (c ReadinessConfig) withDefaults() ReadinessConfig {
	if c.Interval == 0 {
		c.Interval = defaultReadinessInterval
	}
	return c
}

// NewReadiness returns a handler for readiness probes. It answers 200 while the
// Source has a valid token of any account, or can get one for config.Account.
// Otherwise it answers 503 with the kind of the failure. So an outage of the
// token endpoint does not take every instance out of rotation while the
// instances still have valid tokens.
//
// The handler requests a token only if the Source has none, and at most once in
// each interval. Probes in between get the result of the last request. The
// answers hold no secret, no account and no token.
func NewReadiness(config ReadinessConfig) (http.Handler, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	return &readiness{source: config.Source, account: config.Account, interval: config.Interval}, nil
}

type readiness struct {
	source   *tokensource.Source
	account  tokensource.Account
	interval time.Duration

	mu        sync.Mutex
	lastAsked time.Time
	latest    *tokenCheck // nil: never asked
}

// A tokenCheck is a request for a token. The field err is set before done is
// closed.
type tokenCheck struct {
	done chan struct{}
	err  error
}

func (c *tokenCheck) isRunning() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (p *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := p.check(r.Context()); err != nil {
		problem := ProblemOf(err)
		problem.Status = http.StatusServiceUnavailable
		problem.Title = http.StatusText(problem.Status)
		problem.Answer(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// check returns nil if the Source has a token or can get one. Otherwise it
// returns the error of the last request.
func (p *readiness) check(ctx context.Context) error {
	if p.source.HasAnyToken() {
		return nil
	}
	asked := p.ask()
	select {
	case <-asked.done:
		return asked.err
	case <-ctx.Done():
		return tokensource.NewError(tokensource.ErrTimeout, ctx.Err())
	}
}

// ask starts a request for a token if one is due. Otherwise it returns the last
// request.
func (p *readiness) ask() *tokenCheck {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest != nil && (p.latest.isRunning() || time.Since(p.lastAsked) < p.interval) {
		return p.latest
	}
	asked := &tokenCheck{done: make(chan struct{})}
	p.lastAsked, p.latest = time.Now(), asked
	go func() {
		defer close(asked.done)
		// The result is for all probes, so the request does not use the context
		// of this probe. The Source has a time limit of its own.
		_, asked.err = p.source.Token(context.Background(), p.account)
	}()
	return asked
}
