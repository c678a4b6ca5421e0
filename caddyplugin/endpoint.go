// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/observe"
	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/internal/loopback"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// An endpoint is the transport to the token endpoint from one configuration:
// its resolver, its proxy, and the authorities that it trusts. Its modules live
// as long as that configuration.
type endpoint struct {
	observe.Tracing

	http    *reverseproxy.HTTPTransport
	options string // as JSON
}

// newEndpoint provisions the transport for the token requests of a resolved
// client. The transport presents the certificate, unless that is nil.
func newEndpoint(ctx caddy.Context, config *Client, certificate *passport.ClientCertificate) (*endpoint, error) {
	options, err := config.transportOptions()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	if err := options.Provision(ctx); err != nil {
		return nil, err
	}
	if err := config.checkNetworkProxy(options.Transport); err != nil {
		return nil, err
	}
	return &endpoint{observe.NewTracing(connections(options, certificate)), options, string(raw)}, nil
}

// connections returns the transport for token requests. Without a certificate,
// and unless the version is HTTP/3 alone, it is a copy of Caddy's transport
// that pings HTTP/2 connections to find dead ones.
func connections(options *reverseproxy.HTTPTransport, certificate *passport.ClientCertificate) http.RoundTripper {
	switch {
	case certificate != nil:
		return certificate.RoundTripper(options.Transport)
	case slices.Equal(options.Versions, []string{"3"}):
		return options
	default:
		return base.Clone(options.Transport)
	}
}

// sameAs reports whether two endpoints have the same options and trusted
// certificates.
func (e *endpoint) sameAs(other *endpoint) bool {
	return e.options == other.options && e.authorities().Equal(other.authorities())
}

// authorities returns the trusted certificates, or nil for those of the system.
func (e *endpoint) authorities() *x509.CertPool {
	if config := e.http.Transport.TLSClientConfig; config != nil {
		return config.RootCAs
	}
	return nil
}

// close closes the idle connections and releases the modules.
func (e *endpoint) close() error {
	e.CloseIdleConnections()
	return e.http.Cleanup()
}

// transportOptions returns the options of the transport to the token endpoint,
// with the shorthand for authorities written out.
func (c *Client) transportOptions() (*reverseproxy.HTTPTransport, error) {
	options := new(reverseproxy.HTTPTransport)
	if c.Transport != nil {
		*options = *c.Transport
	}
	tlsOptions := reverseproxy.TLSConfig{}
	if options.TLS != nil {
		tlsOptions = *options.TLS
	}
	options.TLS = &tlsOptions
	if err := c.checkTransport(options); err != nil {
		return nil, err
	}
	if err := c.checkTrust(&tlsOptions); err != nil {
		return nil, err
	}
	if len(c.TrustedCACerts) == 0 {
		return options, nil
	}
	if err := checkAuthorities(c.TrustedCACerts); err != nil {
		return nil, &optionError{"trusted_ca_certs", err}
	}
	options.TLS.CARaw = caddyconfig.JSONModuleObject(map[string][]string{"pem_files": c.TrustedCACerts}, "provider", "file", nil)
	return options, nil
}

// checkTrust returns an error if two options set the trusted authorities.
func (c *Client) checkTrust(options *reverseproxy.TLSConfig) error {
	//nolint:staticcheck // SA1019: deprecated options are in use all the same.
	pool := options.CARaw != nil || len(options.RootCAPool)+len(options.RootCAPEMFiles) > 0
	if pool && len(c.TrustedCACerts) > 0 {
		return &optionError{"trusted_ca_certs", errors.New("is set, and tls_trust_pool is set too: remove one of the two")}
	}
	return nil
}

// checkTransport returns an error for an option that token requests cannot use.
func (c *Client) checkTransport(options *reverseproxy.HTTPTransport) error {
	certificate := c.ClientCertificateFile != ""
	switch {
	case options.TLS.InsecureSkipVerify && !loopback.Is(hostOf(c.BaseURL)):
		return &optionError{"tls_insecure_skip_verify", errors.New("any server could act as the token endpoint and would get the server secret; use tls_trust_pool, or tls_server_name")}
	case strings.Contains(options.TLS.ServerName, "{"):
		return &optionError{"tls_server_name", errors.New("has a placeholder that is not replaced when the configuration is loaded")}
	case options.ProxyProtocol != "":
		return &optionError{"proxy_protocol", errors.New("needs a client, and a token request has no client")}
	case certificate && (options.TLS.ClientCertificateFile != "" || options.TLS.ClientCertificateAutomate != ""):
		return &optionError{"client_certificate", errors.New("is set, and tls_client_auth is set too: remove one of the two")}
	case certificate && slices.Equal(options.Versions, []string{"3"}):
		return &optionError{"versions", errors.New("HTTP/3 cannot present client_certificate: set tls_client_auth, or versions 1.1 2")}
	}
	return nil
}

// checkNetworkProxy returns an error if a proxy would see the secret.
func (c *Client) checkNetworkProxy(transport *http.Transport) error {
	address, err := url.Parse(c.BaseURL)
	if err != nil || address.Scheme != "http" || c.DangerouslyAllowHTTP {
		return nil //nolint:nilerr // Another check reports a bad address.
	}
	if proxy, err := transport.Proxy(&http.Request{URL: address}); err != nil || proxy != nil {
		return &optionError{"network_proxy", errors.New("would see the server secret in the clear; use https:// in base_url")}
	}
	return nil
}

// checkAuthorities returns an error for a PEM file without a certificate.
func checkAuthorities(files []string) error {
	for _, file := range files {
		pem, err := os.ReadFile(file) //nolint:gosec // G304: the operator chooses the file.
		if err != nil {
			return err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s contains no certificate in PEM", file)
		}
	}
	return nil
}

// Interface guard.
var _ http.RoundTripper = (*endpoint)(nil)
