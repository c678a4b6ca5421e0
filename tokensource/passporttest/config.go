// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/pismoauth/pismoauth/internal/loopback"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Config is the configuration of a [Server]. The zero Config is a Pismo without
// faults: plain HTTP, tokens of ten minutes, and every account exists.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Lifetime is the lifetime of the tokens. 0 means 10 minutes, as at Pismo.
	// The claims iat and exp have fractions (RFC 7519, section 2, allows them)
	// if Lifetime is below a minute or not a whole number of seconds: with an
	// iat that is rounded down, a token of one second might expire at once.
	Lifetime time.Duration

	// ClockSkew is added to the local time to get the fake server's time. A
	// negative ClockSkew means that the fake server's clock is behind. The
	// claims iat and exp, the Date of answers and the check whether a token
	// has expired use that time.
	ClockSkew time.Duration

	// Latency is how long the token endpoint waits before it answers.
	TokenLatency time.Duration

	// TokenFormat selects the claims of the tokens.
	TokenFormat TokenFormat

	// Opaque makes the tokens random strings instead of JWTs.
	Opaque bool

	// NewTokenRevokesOld makes each new token of an account end the older
	// ones. Pismo does not document whether it does so. By default older
	// tokens stay valid until they expire.
	NewTokenRevokesOld bool

	// ReplicaHeader is the header field of a token request that names the
	// replica which sends it. It fills Counts.IssuedTo, so that a test of a
	// fleet sees which replica got a token for which account. The Header of
	// passport.S2S and of passport.OpenID, or the option header of a client in
	// Caddy, adds such a field. "User-Agent" works too. By default the Server
	// does not tell replicas apart.
	ReplicaHeader string

	// Bare makes the resource API accept the token without a scheme, and no
	// other form, as some older clients send it. By default the resource API
	// accepts "Bearer <token>".
	Bare bool

	// ServerKey and ServerSecret are the credentials. By default they are
	// random: 40 hexadecimal digits, and 32 characters with all the
	// punctuation that causes trouble in shells and configuration files.
	ServerKey, ServerSecret string

	// Accounts are the ids of the accounts that exist. A token request for
	// another account gets the 401 of wrong credentials. The organization
	// always exists. Nil means that every account exists.
	Accounts []string

	// OpenID is the configuration of the OpenID endpoint. Register public keys
	// with [Server.RegisterKey].
	OpenID OpenIDConfig

	// TokenRefusal is the answer of the resource API to a token that is missing,
	// unknown, expired or revoked. A token for another account gets WCAC0001
	// instead. By default it is a 401 without a body: Pismo does not document how
	// it refuses an expired token. OnPath, ForAccount and Times have no effect
	// here.
	TokenRefusal Refusal

	// Resource replaces the resource API. The Server calls it for requests
	// with an accepted token only; [TokenFromContext] returns that token.
	Resource http.Handler

	// Addr is the address to listen on. With [New] and [NewInProcess] it has no
	// effect, nor do TLS, ClientCAs and HTTP2. It is by default "127.0.0.1:0": a
	// free port. It must be a loopback address.
	Addr string

	// TLS makes the fake server speak https, with a self-signed certificate
	// that Server.Client trusts.
	TLS bool

	// ClientCAs makes the fake server require a client certificate that one
	// of these authorities has signed. It needs TLS.
	ClientCAs *x509.CertPool

	// HTTP2 makes the fake server offer HTTP/2 beside HTTP/1.1. It needs TLS.
	HTTP2 bool

	// Logger does not log requests. It receives failed TLS handshakes and panics
	// of a Resource. With nil, the Server logs nothing; [NewServer] logs to the
	// test instead.
	Logger *slog.Logger
}

// A TokenFormat selects the claims of the fake server's tokens: those of
// Pismo's samples of one year. Opaque tokens have no claims.
type TokenFormat int

// The token formats.
const (
	// TokenFormat2025 tokens have a key id in the header and name their
	// account: they have the claims account-id, aid, tenant, tenant_id,
	// token_type and roles beside those of 2022. Tokens of the organization
	// have neither account-id nor aid.
	TokenFormat2025 TokenFormat = iota
	// TokenFormat2022 tokens have iss, sub, iat, exp, uid and tkver. They do
	// not name their account.
	TokenFormat2022
)

const (
	defaultLifetime = 10 * time.Minute
	defaultAddr     = "127.0.0.1:0"
)

// validate reports every fault of c.
func (c Config) validate() error {
	return errors.Join(slices.Concat(c.tokenFaults(), c.accountFaults(), c.OpenID.groupFaults(), c.listenerFaults())...)
}

func (c Config) tokenFaults() (faults []error) {
	if c.Lifetime < 0 {
		faults = append(faults, configError("Lifetime", "is negative; leave it 0 for 10m"))
	}
	if c.TokenLatency < 0 {
		faults = append(faults, configError("Latency", "is negative"))
	}
	if c.TokenFormat != TokenFormat2025 && c.TokenFormat != TokenFormat2022 {
		faults = append(faults, configError("TokenFormat", "is not one of TokenFormat2022 and TokenFormat2025"))
	}
	return faults
}

func (c Config) accountFaults() (faults []error) {
	for _, id := range c.Accounts {
		if _, err := tokensource.ParseAccountID(id); err != nil {
			faults = append(faults, configError("Accounts", "holds something that is not an account id in canonical decimal form"))
		}
	}
	return faults
}

func (c Config) listenerFaults() (faults []error) {
	if c.ClientCAs != nil && !c.TLS {
		faults = append(faults, configError("ClientCAs", "needs Config.TLS"))
	}
	if c.HTTP2 && !c.TLS {
		faults = append(faults, configError("HTTP2", "needs Config.TLS"))
	}
	if c.Addr != "" && !isLoopback(c.Addr) {
		faults = append(faults, configError("Addr", "is not a loopback address with a port; use 127.0.0.1:0"))
	}
	return faults
}

func configError(field, reason string) error {
	return &tokensource.ConfigError{Field: "Config." + field, Reason: reason}
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopback.Is(host)
}

// withDefaults returns c with a value for each field that is not set.
func (c Config) withDefaults() Config {
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.ServerKey == "" {
		c.ServerKey = newServerKey()
	}
	if c.ServerSecret == "" {
		c.ServerSecret = newServerSecret()
	}
	c.OpenID = c.OpenID.withDefaults()
	if c.Addr == "" {
		c.Addr = defaultAddr
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
