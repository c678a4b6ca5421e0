package caddyplugin

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

// Client has the credentials of one Pismo organization, and the tokens that are
// issued for them. Tokens survive a reload of the configuration, unless this
// part of it has changed.
type Client struct {
	// The address of the Pismo environment, such as
	// `https://sandbox.pismolabs.io`; Pismo tells each customer its own for
	// production. A path is kept as a prefix, for a gateway of your own.
	// Placeholders are replaced when the configuration is loaded. Required.
	BaseURL string `json:"base_url,omitempty"`

	// The hosts that may receive a token, without ports: what the certificate
	// of an upstream must prove. List an IP address, or `localhost` for unix
	// sockets, only if it is loopback: those may be reached without TLS.
	// Placeholders are replaced when the configuration is loaded.
	// Default: the host of `base_url`.
	Hosts []string `json:"hosts,omitempty"`

	// The server key: one placeholder, `{env.*}` or `{file.*}`, which is read
	// each time that a token is issued. Required.
	ServerKey string `json:"server_key,omitempty"`

	// The server secret: one placeholder, `{env.*}` or `{file.*}`, which is
	// read each time that a token is issued, so that a file that is replaced
	// needs no reload. Required.
	ServerSecret string `json:"server_secret,omitempty"`

	// What the token request calls the secret. Default: `server_secret`. Some
	// older pages of Pismo's say `secret_key`.
	SecretField string `json:"secret_field,omitempty"`

	// Header fields for the token request, to satisfy a gateway of your own.
	// Placeholders are replaced when the configuration is loaded: give a value
	// that is a secret as `{env.*}` or `{file.*}`.
	Header http.Header `json:"header,omitempty"`

	// Fields for the JSON object of the token request.
	Fields map[string]any `json:"fields,omitempty"`

	// Sends tokens without `Bearer` before them.
	Bare bool `json:"bare,omitempty"`

	// The PEM file with the certificate that Pismo knows this client by. It
	// serves the token requests, and those of `transport pismo` if that has no
	// `tls_client_auth` of its own. It is read again when it changes.
	ClientCertificateFile string `json:"client_certificate_file,omitempty"`

	// The PEM file with the key of the certificate.
	ClientCertificateKeyFile string `json:"client_certificate_key_file,omitempty"`

	// PEM files with the authorities that are trusted for token requests.
	// Default: those of the system.
	TrustedCACerts []string `json:"trusted_ca_certs,omitempty"`

	// How long it may take to issue a token. Default: `10s`.
	IssueTimeout caddy.Duration `json:"issue_timeout,omitempty"`

	// How many accounts' tokens are kept. Default: 10000.
	MaxAccounts int `json:"max_accounts,omitempty"`

	// How many tokens are issued at once. Default: 16.
	MaxIssuances int `json:"max_issuances,omitempty"`

	// Allows a `base_url` with the scheme http that is not loopback: everybody
	// on the way can read the secret and the tokens.
	DangerouslyAllowHTTP bool `json:"dangerously_allow_http,omitempty"`
}

// resolve returns a copy of the client with its placeholders replaced, those of
// the credentials excepted.
func (c *Client) resolve(repl *caddy.Replacer) (*Client, error) {
	resolved := *c
	var err error
	if resolved.BaseURL, err = repl.ReplaceOrErr(c.BaseURL, true, true); err != nil {
		return nil, &fault{"base_url", err}
	}
	resolved.Hosts = slices.Clone(c.Hosts)
	for i, host := range c.Hosts {
		if resolved.Hosts[i], err = repl.ReplaceOrErr(host, true, true); err != nil {
			return nil, &fault{"hosts", err}
		}
	}
	resolved.Header = c.Header.Clone()
	for _, values := range resolved.Header {
		for i, value := range values {
			if values[i], err = repl.ReplaceOrErr(value, true, true); err != nil {
				return nil, &fault{"header", err}
			}
		}
	}
	if len(resolved.Hosts) == 0 {
		if base, err := url.Parse(resolved.BaseURL); err == nil {
			resolved.Hosts = []string{bracketed(base.Hostname())}
		}
	}
	return &resolved, nil
}

// digest identifies a resolved configuration.
func (c *Client) digest() (string, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return string(sum[:]), nil
}

// issuer returns what issues tokens for a resolved client, and the certificate
// that it shows, or nil.
func (c *Client) issuer() (*passport.S2S, *passport.ClientCertificate, error) {
	key, err := secretValue(c.ServerKey)
	if err != nil {
		return nil, nil, &fault{"server_key", err}
	}
	secret, err := secretValue(c.ServerSecret)
	if err != nil {
		return nil, nil, &fault{"server_secret", err}
	}
	certificate, err := c.certificate()
	if err != nil {
		return nil, nil, err
	}
	base := transport.NewBase()
	if certificate != nil {
		base.TLSClientConfig.GetClientCertificate = certificate.GetClientCertificate
	}
	if base.TLSClientConfig.RootCAs, err = authorities(c.TrustedCACerts); err != nil {
		return nil, nil, &fault{"trusted_ca_certs", err}
	}
	return &passport.S2S{
		BaseURL:              c.BaseURL,
		Credentials:          passport.Credentials{Key: key, Secret: secret},
		Client:               &http.Client{Transport: newTracing(base)},
		SecretField:          c.SecretField,
		Header:               c.Header,
		Fields:               c.Fields,
		Bare:                 c.Bare,
		DangerouslyAllowHTTP: c.DangerouslyAllowHTTP,
	}, certificate, nil
}

func (c *Client) certificate() (*passport.ClientCertificate, error) {
	switch {
	case c.ClientCertificateFile == "" && c.ClientCertificateKeyFile == "":
		return nil, nil
	case c.ClientCertificateFile == "" || c.ClientCertificateKeyFile == "":
		return nil, &fault{"client_certificate", errors.New("needs two files: the certificate and its key")}
	}
	certificate, err := passport.NewClientCertificate(c.ClientCertificateFile, c.ClientCertificateKeyFile)
	if err != nil {
		return nil, &fault{"client_certificate", err}
	}
	return certificate, nil
}

// authorities returns the certificates in PEM files, or nil if there are none.
func authorities(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, file := range files {
		pem, err := os.ReadFile(file) //nolint:gosec // G304: which file it is, is the operator's to say.
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", file)
		}
	}
	return pool, nil
}

// source returns the tokens of an issuer.
func (c *Client) source(issuer *passport.S2S, hooks tokensource.Hooks) (*tokensource.Source, error) {
	source, err := tokensource.New(tokensource.Config{
		Issuer:       issuer,
		MaxAccounts:  c.MaxAccounts,
		MaxIssuances: c.MaxIssuances,
		IssueTimeout: time.Duration(c.IssueTimeout),
		Hooks:        hooks,
	})
	if err != nil {
		return nil, faultsOf(err)
	}
	return source, nil
}

// readable returns why the credentials cannot be read now.
func readable(ctx context.Context, issuer *passport.S2S) error {
	if _, err := issuer.Credentials.Key(ctx); err != nil {
		return &fault{"server_key", err}
	}
	if _, err := issuer.Credentials.Secret(ctx); err != nil {
		return &fault{"server_secret", err}
	}
	return nil
}

// checkHosts returns what is wrong with a list of hosts.
func checkHosts(hosts []string) error {
	for _, host := range hosts {
		if u, err := url.Parse("//" + host); err == nil && u.Port() != "" {
			return &fault{"hosts", fmt.Errorf("%q has a port; a certificate proves a name, not a port: leave it out", host)}
		}
	}
	return nil
}

// bracketed returns a host as it stands in a URL.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// A fault is what is wrong with an option.
type fault struct {
	option string
	cause  error
}

func (f *fault) Error() string { return f.option + ": " + f.cause.Error() }

func (f *fault) Unwrap() error { return f.cause }

// options are what the fields of this library are called here.
var options = strings.NewReplacer(
	"S2S.BaseURL", "base_url",
	"S2S.Credentials.Key", "server_key",
	"S2S.Credentials.Secret", "server_secret",
	"S2S.SecretField", "secret_field",
	"S2S.Header", "header",
	"S2S.Fields", "fields",
	"Config.MaxAccounts", "max_accounts",
	"Config.MaxIssuances", "max_issuances",
	"Config.IssueTimeout", "issue_timeout",
	"Config.Hosts", "hosts",
)

// faultsOf returns the faults that this library finds in its configuration, in
// the words of this one.
func faultsOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []error
		for _, part := range joined.Unwrap() {
			faults = append(faults, faultsOf(part))
		}
		return errors.Join(faults...)
	}
	if config, ok := errors.AsType[*tokensource.ConfigError](err); ok {
		return &fault{options.Replace(config.Field), errors.New(config.Reason)}
	}
	return err
}
