// Package passporttest is a fake of the Pismo platform: its Passport API,
// which hands out tokens, and a small resource API behind it, which takes
// nothing but those tokens. It is for tests, examples and demonstrations.
//
// A test of a service that talks to Pismo runs the service against a [Server]
// instead, over HTTP on the loopback interface:
//
//	pismo := passporttest.NewServer(t, passporttest.Config{})
//	service := NewService(pismo.URL(), pismo.ServerKey(), pismo.ServerSecret())
//
// and then asks the fake server what it saw ([Server.Counts], [Server.Deliveries]),
// takes tokens back ([Server.Revoke], [Server.RotateSecret]), or has it fail
// as Pismo, or what stands in front of it, can fail ([Server.Fail],
// [Server.Refuse]). A program uses [Start]. A test inside of a testing/synctest
// bubble, where there is no network, uses [NewUnstarted] and
// [Server.RoundTripper].
//
// # Revoking in a loop
//
// The loop "revoke, request, revoke, request" is the first that many tests have,
// and its fourth request gets a 401: a Source renews refused tokens three times
// in a row, and then one every [Server.RenewalInterval]. Let that pass in each
// round. It is 10 seconds with the default Config, and no time at all inside of
// a testing/synctest bubble:
//
//	synctest.Test(t, func(t *testing.T) {
//		pismo := passporttest.NewUnstarted(t, passporttest.Config{})
//		service := NewService(pismo.URL(), pismo.Client())
//		for range 100 {
//			pismo.Revoke("102681871")
//			service.Pay(t, "102681871") // Its token is refused, and renewed.
//			time.Sleep(pismo.RenewalInterval())
//		}
//	})
//
// # How far to trust it
//
// What Pismo documents, the fake server does as documented: the token request and
// its answers, and the refusals that [DocumentedCases] lists with the operations
// they are documented for. It is stricter than Pismo may be, so that a wrong
// client is found: it refuses token requests with fields that the schema does
// not have, and takes only one form of Authorization. Pismo documents neither
// what the refusal of an expired token looks like (the fake server sends an empty
// 401; see Config.TokenRefusal), nor what the answers 400, 405, 413 and 415 of
// the token endpoint look like, nor whether a new token revokes an older one
// (here it does not). The resource API is made up; only its manners are Pismo's.
//
// The fake server is no place for real credentials or data, and listens on loopback
// addresses only.
package passporttest

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/pismoauth/pismoauth/internal/loopback"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Config is how a [Server] is configured. The zero Config is a Pismo where
// all is well: plain HTTP, tokens of ten minutes, every account known.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Lifetime is that of the tokens. 0 means 10 minutes, as at Pismo.
	// Below a minute, and where it is no whole number of seconds, the claims
	// iat and exp have fractions (RFC 7519, section 2, allows them): a token
	// of one second whose iat is rounded down might live for no time at all.
	Lifetime time.Duration

	// ClockSkew is how far the fake server's clock is ahead of the local one;
	// negative, how far it is behind. It applies to the claims iat and exp, to
	// the Date of answers, and to the check whether a token has expired.
	ClockSkew time.Duration

	// Latency is how long the token endpoint thinks about each request.
	Latency time.Duration

	// TokenFormat says which claims the tokens have.
	TokenFormat TokenFormat

	// Opaque has the tokens be random strings instead of JWTs.
	Opaque bool

	// Bare has the resource API take the token without a scheme, and only so,
	// as some older clients send it; by default it takes "Bearer <token>".
	Bare bool

	// ServerKey and ServerSecret are the credentials. By default they are
	// drawn: 40 hexadecimal digits, and 32 characters with all the
	// punctuation that trips up shells and configuration files.
	ServerKey, ServerSecret string

	// Accounts are the ids of the accounts there are. Others get no token but
	// the 401 of wrong credentials. The organization always exists. Nil means
	// that every account exists.
	Accounts []string

	// TokenRefusal is what the resource API answers to a token that it
	// refuses. By default that is a 401 without a body; Pismo documents none.
	TokenRefusal Refusal

	// Resource replaces the resource API. It is called with requests whose
	// token is good; [TokenFromContext] tells whose it is.
	Resource http.Handler

	// Addr is where to listen, by default "127.0.0.1:0": a port that is free.
	// It must be a loopback address.
	Addr string

	// TLS has the fake server speak https, with a certificate of its own that
	// Server.Client trusts.
	TLS bool

	// ClientCAs has the fake server demand a client certificate that one of them
	// has signed. Needs TLS.
	ClientCAs *x509.CertPool

	// HTTP2 has the fake server offer HTTP/2 beside HTTP/1.1. Needs TLS.
	HTTP2 bool

	// Logger is told of failed TLS handshakes and of a Resource that panics.
	// Nil means no one; [NewServer] has the test's log instead.
	Logger *slog.Logger
}

// A TokenFormat is a year of which samples of Pismo's tokens are known.
type TokenFormat int

// The vintages.
const (
	// TokenFormat2025 tokens have a key id in the header and say what they are
	// for: claims account-id, aid, tenant, tenant_id, token_type and roles
	// beside those of 2022. Tokens of the organization have no account-id.
	TokenFormat2025 TokenFormat = iota
	// TokenFormat2022 tokens have iss, sub, iat, exp, uid and tkver. They do not
	// say which account they are for.
	TokenFormat2022
)

const (
	defaultLifetime = 10 * time.Minute
	defaultAddr     = "127.0.0.1:0"
)

// withDefaults checks c and fills in what is not set.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	reject := func(field, reason string) {
		faults = append(faults, &tokensource.ConfigError{Field: field, Reason: reason})
	}
	if c.Lifetime < 0 {
		reject("Config.Lifetime", "is negative; leave it 0 for 10m")
	}
	if c.Latency < 0 {
		reject("Config.Latency", "is negative")
	}
	if c.TokenFormat != TokenFormat2025 && c.TokenFormat != TokenFormat2022 {
		reject("Config.TokenFormat", "is not one of TokenFormat2022 and TokenFormat2025")
	}
	for _, id := range c.Accounts {
		if _, err := tokensource.ParseAccountID(id); err != nil {
			reject("Config.Accounts", "holds something that is not an account id in canonical decimal form")
		}
	}
	if c.ClientCAs != nil && !c.TLS {
		reject("Config.ClientCAs", "needs Config.TLS")
	}
	if c.HTTP2 && !c.TLS {
		reject("Config.HTTP2", "needs Config.TLS")
	}
	if c.Addr == "" {
		c.Addr = defaultAddr
	}
	if !isLoopback(c.Addr) {
		reject("Config.Addr", "is not a loopback address with a port; use 127.0.0.1:0")
	}
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.ServerKey == "" {
		c.ServerKey = newServerKey()
	}
	if c.ServerSecret == "" {
		c.ServerSecret = newServerSecret()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(faults...)
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopback.Is(host)
}
