package middleware

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// ReadinessConfig is how a readiness probe is configured. Source and Account
// are required.
type ReadinessConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Source has the tokens.
	Source *tokensource.Source

	// Account is the account whose token is asked for when there is no other:
	// one that the program works with. Not the organization, if the program has
	// no use for its token: should the platform refuse it, the Source takes its
	// credentials for rejected, and asks for no account's token for a while.
	Account tokensource.Account

	// Interval is how often a token is asked for, at most. 0 means 10 seconds.
	Interval time.Duration
}

// NewReadiness returns a handler for readiness probes: 200 while the Source has
// any token that lives, or can get one; else 503 and the kind of the failure.
// So an outage of the token endpoint does not take every instance out of
// rotation while they have tokens to work with.
//
// It asks for a token itself only where there is none, and no more than once in
// each interval; the probes in between are answered with what came of it. The
// answers hold no secret, no account and no token.
func NewReadiness(config ReadinessConfig) (http.Handler, error) {
	var faults []error
	if config.Source == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "ReadinessConfig.Source", Reason: "is not set; use tokensource.New"})
	}
	if config.Account == (tokensource.Account{}) {
		faults = append(faults, &tokensource.ConfigError{Field: "ReadinessConfig.Account", Reason: "is not set; name the account to ask for, or tokensource.Organization"})
	}
	if config.Interval < 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "ReadinessConfig.Interval", Reason: "is negative; leave it 0 for 10s"})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if config.Interval == 0 {
		config.Interval = 10 * time.Second
	}
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

// A tokenCheck asks for a token. The error is there when done is closed.
type tokenCheck struct {
	done chan struct{}
	err  error
}

func (i *tokenCheck) isRunning() bool {
	select {
	case <-i.done:
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

// check returns why no token can be had, or nil.
func (p *readiness) check(ctx context.Context) error {
	if p.source.HasToken() {
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

// ask asks for a token if that is due, and else returns what was asked before.
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
		// Not the probe's context: what comes of it is for all probes. The
		// Source gives up by itself.
		_, asked.err = p.source.Token(context.Background(), p.account)
	}()
	return asked
}
