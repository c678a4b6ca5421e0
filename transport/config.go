// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"cmp"
	"errors"
	"net/http"
	"reflect"

	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Config configures a [Transport]. Source and Hosts are required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Source provides the tokens. Required.
	Source *tokensource.Source

	// Hosts are the hosts that receive tokens. Each has a port unless it is
	// the default port of https. A request to any other host is an error.
	// Plain http is allowed only for hosts on loopback.
	Hosts []string

	// Account is the account of requests whose context names none. See
	// [tokensource.ContextWithAccount]. If Account is zero, the context
	// must name an account. A context that names another account is an
	// error.
	Account tokensource.Account

	// Base sends the requests. Nil means a new [NewBase]. Configure client
	// certificates, proxies and tracing here. Base sees each request that
	// goes out, with its token.
	Base http.RoundTripper

	// MaxAttempts is the total number of attempts for a request that may be
	// retried. 0 means 3. 1 switches retries off. The replay of a request
	// after a 401 does not count.
	MaxAttempts int

	// RetryMethods are further methods that are retried like GET, HEAD and
	// OPTIONS. List a method only if every request with it may be executed
	// twice. Use [AllowRetry] for a single request.
	RetryMethods []string

	// MaxReplayBody is the length in bytes of the longest body without
	// GetBody that is recorded in memory while it is sent, so that it can
	// be sent again. A body of unknown length, and the body of a request
	// with a trailer, are never recorded, and are sent once. 0 means 64
	// KiB. A negative value disables recording.
	MaxReplayBody int64

	// Classify may replace the verdict on a 401. The Refusal has the verdict of
	// this package's rules. The result is the verdict to use. Nil keeps every
	// verdict. Classify must not keep the Refusal. If Classify panics, takes
	// longer than a second, or is still running when the request's context ends,
	// the verdict is [Unrecognized]. A result that is not one of the verdicts
	// means that nothing is renewed or replayed; [VerdictOf] returns it.
	Classify func(*Refusal) Verdict

	// Hooks observe the Transport. The zero Hooks observe nothing.
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
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	hosts, _ := newHosts(config.Hosts) // validate has reported the faults.
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

// validate returns every fault in the configuration, joined by errors.Join.
func (c *Config) validate() error {
	_, faults := newHosts(c.Hosts)
	if c.Source == nil {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Source", Reason: "is not set; use tokensource.New"})
	}
	if len(c.Hosts) == 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Hosts", Reason: "is empty; list the hosts that may receive a token"})
	}
	if c.Base != nil && isNil(c.Base) {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Base", Reason: "is a nil pointer; leave Base out for NewBase"})
	}
	if c.MaxAttempts < 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.MaxAttempts", Reason: "is negative; 1 switches retries off"})
	}
	for _, method := range c.RetryMethods {
		if method == "" {
			faults = append(faults, &tokensource.ConfigError{Field: "Config.RetryMethods", Reason: "holds an empty method"})
		}
	}
	return errors.Join(faults...)
}

// isNil reports whether rt holds a nil pointer or a nil function, such as the
// result of a constructor whose error was ignored. Its first use would panic.
func isNil(rt http.RoundTripper) bool {
	value := reflect.ValueOf(rt)
	return (value.Kind() == reflect.Pointer || value.Kind() == reflect.Func) && value.IsNil()
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

// NewBase returns a new [http.Transport] for Config.Base, sized for one busy
// host. The caller may set certificates in its TLSClientConfig, or wrap it.
//
// It differs from [http.DefaultTransport] in three ways. It gives up a dial
// after 10 seconds. It keeps more idle connections: with the default of two per
// host, 32 workers open a new TLS connection for more than every second
// request. It checks HTTP/2 connections by pings: it closes a connection that
// was silent for 3 seconds and does not answer a ping within 2 more seconds.
func NewBase() *http.Transport { return base.New() }
