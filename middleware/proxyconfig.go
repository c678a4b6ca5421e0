// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"errors"
	"log"
	"log/slog"
	"net/http/httputil"
	"net/url"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// ProxyConfig is the configuration of a proxy. Target, Transport and Account
// are required.
type ProxyConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Target is the URL of the platform: scheme, host, and a path under which
	// the requests are put. The host must be a host of the transport.
	Target *url.URL

	// Transport sends the requests, with tokens of its own Source. It must have
	// no Config.Account.
	Transport *transport.Transport

	// Account finds the account of a request.
	Account AccountFunc

	// Rewrite can change the outbound request r.Out after the proxy has set it
	// up. It must not set an Authorization.
	Rewrite func(r *httputil.ProxyRequest)

	// ErrorHandler answers requests that the proxy does not pass on, and
	// requests that the platform does not answer. Nil means [AnswerProblem].
	ErrorHandler ErrorHandler

	// Logger gets one line when requests begin to fail, and one line when they
	// no longer fail; see Config.Logger.
	Logger *slog.Logger

	// ErrorLog gets a line for each response that breaks off. Nil means that
	// Logger logs them as it logs other failures.
	ErrorLog *log.Logger
}

// withLeadingSlash returns a copy of a URL whose path begins with a slash if it
// is not empty. For example, url.URL.JoinPath can return a path without a
// slash.
func withLeadingSlash(u *url.URL) *url.URL {
	copied := *u
	if u.Path != "" && u.Path[0] != '/' {
		copied.Path, copied.RawPath = "/"+u.Path, "/"+u.EscapedPath()
	}
	return &copied
}

// withDefaults returns c with a Target whose path begins with a slash. A nil
// ErrorLog stays nil: its default is the failure log of the Middleware.
func (c ProxyConfig) withDefaults() ProxyConfig {
	c.Target = withLeadingSlash(c.Target)
	return c
}

// validate reports every fault of c.
func (c *ProxyConfig) validate() error {
	var faults []error
	fault := func(field, reason string) {
		faults = append(faults, &tokensource.ConfigError{Field: "ProxyConfig." + field, Reason: reason})
	}
	if c.Account == nil {
		fault("Account", "is not set; use FromContext, FromJWT, FromPath, FromHeader or FixedAccount")
	}
	if c.Transport == nil {
		fault("Transport", "is not set; use transport.New")
	}
	if c.Target == nil {
		fault("Target", "is not set; give the URL of the platform")
	}
	if c.Transport != nil {
		if _, fixed := c.Transport.Account(); fixed {
			fault("Transport", "has an account of its own; make a transport without Config.Account, "+
				"because the proxy sets the account of each request")
		}
	}
	if c.Target != nil && c.Target.Opaque != "" {
		fault("Target", "has no host; write it as https://host/path")
	} else if c.Transport != nil && c.Target != nil {
		if unsent, ok := errors.AsType[transport.UnsentError](c.Transport.Accepts(withLeadingSlash(c.Target))); ok {
			fault("Target", "gets no token: "+string(unsent))
		}
	}
	return errors.Join(faults...)
}
