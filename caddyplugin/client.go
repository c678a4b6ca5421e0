// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// Client holds the credentials of one Pismo organization, and the tokens that
// are issued for them. Tokens survive a reload of the configuration, unless one
// of these has changed: the client's name, `base_url`, the placeholders of the
// credentials (not their values), an option of `openid` (not the content of its
// key files), the client certificate, `secret_field`, `header`, `field`,
// `bare`, `store` or `store_key`. Changed limits, hosts and transports take
// effect at once.
type Client struct {
	// The address of the Pismo environment, such as
	// `https://sandbox.pismolabs.io`. Pismo gives each customer an address for
	// production. A path is kept as a prefix, for a gateway of your own.
	// Placeholders are replaced when the configuration is loaded. Required.
	BaseURL string `json:"base_url,omitempty"`

	// All hosts that may receive a token, without ports. A list replaces the
	// default. The certificate of an upstream must prove one of them. An IP
	// address is possible if the certificate has it. Loopback addresses, and
	// `localhost` for unix sockets, may be reached without TLS. Placeholders are
	// replaced when the configuration is loaded. Default: the host of `base_url`.
	Hosts []string `json:"hosts,omitempty"`

	// The server key: one placeholder, `{env.*}` or `{file.*}`. It must be
	// readable when the configuration is loaded, and is read again for each token.
	// Required, unless there is `openid`.
	ServerKey string `json:"server_key,omitempty"`

	// The server secret: one placeholder, `{env.*}` or `{file.*}`. It must be
	// readable when the configuration is loaded, and is read again for each token,
	// so that a file that is replaced needs no reload. Required, unless there is
	// `openid`.
	ServerSecret string `json:"server_secret,omitempty"`

	// OpenID in place of a server key and a server secret.
	OpenID *OpenID `json:"openid,omitempty"`

	// The name of the token request's field for the secret. Default:
	// `server_secret`. Some older pages of Pismo say `secret_key`.
	SecretField string `json:"secret_field,omitempty"`

	// Header fields for the token request, to satisfy a gateway of your own.
	// Placeholders are replaced when the configuration is loaded: give a value
	// that is a secret as `{env.*}` or `{file.*}`. Fields for the framing, the
	// format or the authentication of the request are refused.
	Header http.Header `json:"header,omitempty"`

	// Fields for the JSON object of the token request. Placeholders in strings are
	// replaced when the configuration is loaded. The names of the key, of the
	// secret and of `account_id` are refused.
	Fields map[string]any `json:"fields,omitempty"`

	// Sends tokens without `Bearer` before them.
	Bare bool `json:"bare,omitempty"`

	// The PEM file with the certificate that Pismo knows this client by. It is
	// presented in token requests, and by `transport pismo` if that has no
	// `tls_client_auth` of its own. It is read again when it changes.
	ClientCertificateFile string `json:"client_certificate_file,omitempty"`

	// The PEM file with the key of the certificate.
	ClientCertificateKeyFile string `json:"client_certificate_key_file,omitempty"`

	// PEM files with the authorities that are trusted for token requests: short
	// for `tls_trust_pool file`. Default: those of the system.
	TrustedCACerts []string `json:"trusted_ca_certs,omitempty"`

	// The transport to the token endpoint: that of a `reverse_proxy`, with its
	// options for TLS, name resolution and proxies. Options that would expose the
	// secret are refused. These options apply to token requests only: `transport
	// pismo` has its own.
	Transport *reverseproxy.HTTPTransport `json:"transport,omitempty"`

	// The time limit for issuing a token, including the wait for a slot and a
	// second attempt. Default: `10s`.
	IssueTimeout caddy.Duration `json:"issue_timeout,omitempty"`

	// The number of accounts whose tokens are kept. Default: 10000.
	MaxAccounts int `json:"max_accounts,omitempty"`

	// The number of tokens that are issued at once. Up to 64 times as many
	// issuances wait. Default: 16.
	MaxIssuances int `json:"max_issuances,omitempty"`

	// Where several Caddys share their tokens: each token is then issued once for
	// all of them. The module `caddy` uses Caddy's own storage. Other modules of
	// the namespace implement [Store]. The store may fail at any moment: the
	// client then issues its tokens without it.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=pismo.stores inline_key=module"`

	// The secret that seals the tokens in the store: one placeholder, `{env.*}` or
	// `{file.*}`. All Caddys need the same one, of at least 16 bytes. Default: the
	// server secret. Required with a store and `openid`.
	StoreKey string `json:"store_key,omitempty"`

	// Allows a `base_url` with the scheme http that is not loopback: anyone on the
	// network path can read the secret and the tokens. It does not allow plain
	// HTTP to upstreams.
	DangerouslyAllowHTTP bool `json:"dangerously_allow_http,omitempty"`
}

// digest identifies the options that determine the tokens of a resolved client.
// Clients with different digests share no tokens. Hosts, limits and the
// transport to the token endpoint are not part of the digest: they change
// without a new token. The content of the certificate is part of it, because
// the certificate identifies the client. The credentials are part of it as
// placeholders, which are read at each issuance.
func (c *Client) digest() (string, error) {
	var certificate []byte
	if c.ClientCertificateFile != "" {
		content, err := os.ReadFile(c.ClientCertificateFile)
		if err != nil {
			return "", &optionError{"client_certificate", err}
		}
		certificate = content
	}
	raw, err := json.Marshal([]any{
		c.BaseURL, c.ServerKey, c.ServerSecret, c.SecretField, c.Header, c.Fields, c.Bare,
		c.ClientCertificateFile, c.ClientCertificateKeyFile, certificate, c.OpenID,
		c.StoreRaw, c.StoreKey,
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return string(sum[:]), nil
}

// An issuer is an issuer of package passport.
type issuer interface {
	tokensource.Issuer
	Validate() error
	Revision(ctx context.Context) string
	Scope() string
}

// issuer returns the issuer of a resolved client. It sends token requests
// through base. The signer is nil if the client has none.
func (c *Client) issuer(base http.RoundTripper, signer crypto.Signer) (issuer, error) {
	if err := c.checkOptions(); err != nil {
		return nil, err
	}
	var made issuer
	var err error
	if c.OpenID != nil {
		made = c.openIDIssuer(base, signer)
	} else if made, err = c.s2sIssuer(base); err != nil {
		return nil, err
	}
	if err := made.Validate(); err != nil {
		return nil, optionErrorsOf(err)
	}
	return made, nil
}

// s2sIssuer returns the issuer of a resolved client that has a server key.
func (c *Client) s2sIssuer(base http.RoundTripper) (*passport.S2S, error) {
	key, err := secretValue(c.ServerKey)
	if err != nil {
		return nil, &optionError{"server_key", err}
	}
	secret, err := secretValue(c.ServerSecret)
	if err != nil {
		return nil, &optionError{"server_secret", err}
	}
	return &passport.S2S{
		BaseURL:              c.BaseURL,
		Credentials:          passport.Credentials{Key: key, Secret: secret},
		Client:               &http.Client{Transport: base},
		SecretField:          c.SecretField,
		Header:               c.Header,
		Fields:               c.Fields,
		Bare:                 c.Bare,
		DangerouslyAllowHTTP: c.DangerouslyAllowHTTP,
	}, nil
}

// limits returns the limits of a client's tokens.
func (c *Client) limits() tokensource.Limits {
	return tokensource.Limits{
		MaxAccounts:  c.MaxAccounts,
		MaxIssuances: c.MaxIssuances,
		IssueTimeout: time.Duration(c.IssueTimeout),
	}
}

// certificate returns the certificate that a client presents, or nil.
func (c *Client) certificate() (*passport.ClientCertificate, error) {
	switch {
	case c.ClientCertificateFile == "" && c.ClientCertificateKeyFile == "":
		return nil, nil
	case c.ClientCertificateFile == "" || c.ClientCertificateKeyFile == "":
		return nil, &optionError{"client_certificate", errors.New("needs two files: the certificate and its key")}
	}
	certificate, err := passport.NewClientCertificate(c.ClientCertificateFile, c.ClientCertificateKeyFile)
	if err != nil {
		return nil, &optionError{"client_certificate", err}
	}
	return certificate, nil
}

// checkReadable returns an error if the credentials cannot be read now.
func checkReadable(ctx context.Context, made issuer) error {
	switch made := made.(type) {
	case *passport.OpenID:
		if _, err := made.Key.Fingerprints(ctx); err != nil {
			return &optionError{"openid", err}
		}
	case *passport.S2S:
		return checkCredentials(ctx, made.Credentials)
	}
	return nil
}

func checkCredentials(ctx context.Context, credentials passport.Credentials) error {
	if _, err := credentials.Key(ctx); err != nil {
		return &optionError{"server_key", err}
	}
	if _, err := credentials.Secret(ctx); err != nil {
		return &optionError{"server_secret", err}
	}
	return nil
}

// checkHosts returns the fault in a list of hosts.
func checkHosts(hosts []string) error {
	for _, host := range hosts {
		if u, err := url.Parse("//" + host); err == nil && u.Port() != "" {
			return &optionError{"hosts", fmt.Errorf("%q has a port: remove the port, since a certificate proves only a name", host)}
		}
	}
	return nil
}

// hostOf returns the host of a URL without its port, or "".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// bracketIPv6 returns a host in the form that a URL needs.
func bracketIPv6(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
