package transport

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Config is how a [Transport] is configured. Source and Hosts are required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Source has the tokens.
	Source *tokensource.Source

	// Hosts are the hosts that receive tokens, each with its port if that is
	// not the default of https. A request to any other is an error. Hosts on
	// loopback may be reached with plain http, others not.
	Hosts []string

	// Account is the account that requests act for whose context names none;
	// see [tokensource.ContextWithAccount]. The zero Account means that the
	// context has to name one. A context that names another is an error.
	Account tokensource.Account

	// Base sends the requests. Nil means a new [NewBase]. Put client
	// certificates, proxies and tracing here: it sees each request that goes
	// out, with its token.
	Base http.RoundTripper

	// MaxAttempts is how often a request is tried in all, if it may be
	// retried. 0 means 3; 1 switches retries off. The replay of a request that
	// was refused with a 401 does not count.
	MaxAttempts int

	// RetryMethods are the methods that are retried as GET, HEAD and OPTIONS
	// are. Name one only if each of its requests may be executed twice. For a
	// single request there is [AllowRetry].
	RetryMethods []string

	// MaxReplayBody is how long a body without GetBody may be, in bytes, to be
	// recorded in memory while it is sent, so that it can be sent again. It
	// applies only to bodies whose length is known, of requests without a
	// trailer; others stream, and are sent once. 0 means 64 KiB; a negative value means never.
	MaxReplayBody int64

	// Classify may replace the verdict on a 401. It is called with the verdict
	// that the rules of this package came to, and returns its own. Nil accepts
	// all. It must not keep the Refusal. If it panics, or takes longer than a
	// second, the verdict is [Unrecognized].
	Classify func(*Refusal) Verdict

	// Hooks are told what happens.
	Hooks Hooks
}

const (
	defaultMaxAttempts   = 3
	defaultMaxReplayBody = 64 << 10
)

// New returns a Transport. It contacts no server. The error reports every fault
// in the configuration, as [*tokensource.ConfigError] values joined by
// errors.Join.
func New(config Config) (*Transport, error) {
	hosts, err := config.validate()
	if err != nil {
		return nil, err
	}
	config = config.withDefaults()
	return &Transport{
		source:        config.Source,
		account:       config.Account,
		hosts:         hosts,
		base:          config.Base,
		maxAttempts:   config.MaxAttempts,
		retryMethods:  append([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, config.RetryMethods...),
		maxReplayBody: config.MaxReplayBody,
		classify:      config.Classify,
		hooks:         config.Hooks,
		learned:       new(learnedState),
	}, nil
}

// validate returns the hosts of the configuration, or every fault in it.
func (c *Config) validate() (hosts, error) {
	hosts, faults := newHosts(c.Hosts)
	if c.Source == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Source", Reason: "is not set; use tokensource.New"})
	}
	if len(c.Hosts) == 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Hosts", Reason: "is empty; list the hosts that may receive a token"})
	}
	if c.MaxAttempts < 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.MaxAttempts", Reason: "is negative; 1 switches retries off"})
	}
	for _, method := range c.RetryMethods {
		if method == "" {
			faults = append(faults, &tokensource.ConfigError{Field: "Config.RetryMethods", Reason: "holds an empty method"})
		}
	}
	return hosts, errors.Join(faults...)
}

// withDefaults returns the configuration with a value for each optional field
// that has a default.
func (c Config) withDefaults() Config {
	if c.Base == nil {
		c.Base = NewBase()
	}
	c.MaxAttempts = cmp.Or(c.MaxAttempts, defaultMaxAttempts)
	c.MaxReplayBody = cmp.Or(c.MaxReplayBody, defaultMaxReplayBody)
	return c
}

// NewBase returns a new [http.Transport] sized for one busy host, for
// Config.Base: set its TLSClientConfig's certificates, or wrap it.
//
// It differs from [http.DefaultTransport] in the idle connections that it
// keeps: two per host make 32 workers open a new TLS connection for more than
// every second request. And it checks HTTP/2 connections by pings: one that has
// been silent for 3 seconds and does not answer within 2 more is closed.
func NewBase() *http.Transport { return base.New() }
