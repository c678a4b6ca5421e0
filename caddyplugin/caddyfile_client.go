// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// parseApp parses the global option pismo. The option may be repeated, with
// other clients each time.
func parseApp(d *caddyfile.Dispenser, before any) (any, error) {
	app := new(App)
	if earlier, ok := before.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(earlier.Value, app); err != nil {
			return nil, err
		}
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "pismo", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens. Syntax:
//
//	pismo {
//	    client <name> {
//	        base_url           <url>
//	        hosts              <hosts...>
//	        server_key         {env.*}|{file.*}
//	        server_secret      {env.*}|{file.*}
//	        openid {
//	            issuer             <iss>
//	            subject            <sub>
//	            audience           <aud>
//	            tenant             <id>
//	            group              <group>
//	            key_file           <pem_files...>
//	            signer             <module> [<options...>]
//	            assertion_lifetime <duration>
//	            organization_uid   <uid>
//	            key_id             <kid>
//	            token_path         <path>
//	        }
//	        secret_field       <name>
//	        header             <field> <value>
//	        field              <name> <json>
//	        bare
//	        client_certificate <cert_file> <key_file>
//	        trusted_ca_certs   <pem_files...>
//	        <the options of transport http>
//	        issue_timeout      <duration>
//	        max_accounts       <count>
//	        max_issuances      <count>
//	        store              <module> [<options...>]
//	        store_key          {env.*}|{file.*}
//	        dangerously_allow_http
//	    }
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // The name of the option.
	if err := noArguments(d); err != nil {
		return err
	}
	for d.NextBlock(0) {
		if d.Val() != "client" {
			return d.Errf("unrecognized option %s; the only option is client", d.Val())
		}
		if err := a.unmarshalClient(d); err != nil {
			return err
		}
	}
	if len(a.Clients) == 0 {
		return d.Err("pismo defines no client")
	}
	return nil
}

func (a *App) unmarshalClient(d *caddyfile.Dispenser) error {
	head := d.Token()
	name, err := singleArgument(d)
	if err != nil {
		return err
	}
	if _, ok := a.Clients[name]; ok {
		return d.Errf("client %s is defined twice", name)
	}
	client := new(Client)
	var transport []caddyfile.Token
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if slices.Contains(transportOptions, d.Val()) {
			transport = append(transport, d.NextSegment()...)
		} else if err := client.unmarshalOption(d); err != nil {
			return err
		}
	}
	if len(transport) > 0 {
		client.Transport = new(reverseproxy.HTTPTransport)
		if err := client.Transport.UnmarshalCaddyfile(caddyfile.NewDispenser(block([]caddyfile.Token{head}, transport))); err != nil {
			return err
		}
	}
	if err := client.validatePartial(name); err != nil {
		return withLineOf(head, err)
	}
	if a.Clients == nil {
		a.Clients = map[string]*Client{}
	}
	a.Clients[name] = client
	return nil
}

// transportOptions are the options of transport http that apply to token
// requests.
var transportOptions = []string{
	"dial_timeout", "dial_fallback_delay", "local_address", "network_proxy", "resolvers",
	"keepalive", "keepalive_interval", "keepalive_idle_conns", "keepalive_idle_conns_per_host",
	"tls_client_auth", "tls_curves", "tls_insecure_skip_verify", "tls_renegotiation",
	"tls_server_name", "tls_timeout", "tls_trust_pool", "versions",
	"read_timeout", "write_timeout", "response_header_timeout", "max_response_header",
}

// unmarshalOption parses an option of a client.
func (c *Client) unmarshalOption(d *caddyfile.Dispenser) error {
	parse, ok := map[string]func(*caddyfile.Dispenser) error{
		"base_url":               c.unmarshalBaseURL,
		"hosts":                  func(d *caddyfile.Dispenser) error { return unmarshalHosts(d, &c.Hosts) },
		"server_key":             func(d *caddyfile.Dispenser) error { return unmarshalSecret(d, &c.ServerKey) },
		"server_secret":          func(d *caddyfile.Dispenser) error { return unmarshalSecret(d, &c.ServerSecret) },
		"openid":                 c.unmarshalOpenID,
		"secret_field":           func(d *caddyfile.Dispenser) error { return setOnce(d, &c.SecretField) },
		"header":                 c.unmarshalHeader,
		"field":                  c.unmarshalField,
		"bare":                   func(d *caddyfile.Dispenser) error { return unmarshalSwitch(d, &c.Bare) },
		"client_certificate":     c.unmarshalCertificate,
		"trusted_ca_certs":       c.unmarshalTrustedCACerts,
		"issue_timeout":          func(d *caddyfile.Dispenser) error { return unmarshalDuration(d, &c.IssueTimeout) },
		"max_accounts":           func(d *caddyfile.Dispenser) error { return unmarshalCount(d, &c.MaxAccounts) },
		"max_issuances":          func(d *caddyfile.Dispenser) error { return unmarshalCount(d, &c.MaxIssuances) },
		"store":                  c.unmarshalStore,
		"store_key":              func(d *caddyfile.Dispenser) error { return unmarshalSecret(d, &c.StoreKey) },
		"dangerously_allow_http": func(d *caddyfile.Dispenser) error { return unmarshalSwitch(d, &c.DangerouslyAllowHTTP) },
	}[d.Val()]
	if !ok {
		return d.Errf("unrecognized option %s of a client", d.Val())
	}
	return parse(d)
}

// unmarshalSwitch parses an option without arguments.
func unmarshalSwitch(d *caddyfile.Dispenser, on *bool) error {
	*on = true
	return noArguments(d)
}

func (c *Client) unmarshalCertificate(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&c.ClientCertificateFile, &c.ClientCertificateKeyFile) {
		return d.ArgErr()
	}
	return nil
}

func (c *Client) unmarshalTrustedCACerts(d *caddyfile.Dispenser) error {
	c.TrustedCACerts = append(c.TrustedCACerts, d.RemainingArgs()...)
	if len(c.TrustedCACerts) == 0 {
		return d.ArgErr()
	}
	return nil
}

func (c *Client) unmarshalBaseURL(d *caddyfile.Dispenser) error {
	if err := setOnce(d, &c.BaseURL); err != nil || strings.Contains(c.BaseURL, "{") {
		return err
	}
	// The check of the scheme http needs all options, so it runs later.
	if fault := baseURLFault(c.BaseURL, true); fault != "" {
		return d.Errf("base_url %s", fault)
	}
	return nil
}

// unmarshalHosts parses a list of hosts.
func unmarshalHosts(d *caddyfile.Dispenser, hosts *[]string) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	if err := checkHosts(args); err != nil {
		return d.WrapErr(err)
	}
	*hosts = append(*hosts, args...)
	return nil
}

func unmarshalSecret(d *caddyfile.Dispenser, option *string) error {
	name := d.Val()
	if err := setOnce(d, option); err != nil {
		return err
	}
	if _, err := secretValue(*option); err != nil {
		return d.WrapErr(&optionError{name, err})
	}
	return nil
}

func (c *Client) unmarshalHeader(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.ArgErr()
	}
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Add(name, value)
	return nil
}

func (c *Client) unmarshalField(d *caddyfile.Dispenser) error {
	var name, raw string
	if !d.AllArgs(&name, &raw) {
		return d.ArgErr()
	}
	var value any
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		return d.Errf("the value of field %s is not JSON; write a string with quotes, as in `\"text\"`", name)
	}
	if _, ok := c.Fields[name]; ok {
		return d.Errf("field %s is set twice", name)
	}
	if c.Fields == nil {
		c.Fields = map[string]any{}
	}
	c.Fields[name] = value
	return nil
}

func unmarshalDuration(d *caddyfile.Dispenser, option *caddy.Duration) error {
	name := d.Val()
	value, err := singleArgument(d)
	if err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(value)
	if err != nil || duration <= 0 {
		return d.Errf("%s is not a duration above zero, such as 10s", name)
	}
	*option = caddy.Duration(duration)
	return nil
}

func unmarshalCount(d *caddyfile.Dispenser, option *int) error {
	name := d.Val()
	value, err := singleArgument(d)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(value)
	if err != nil || count <= 0 {
		return d.Errf("%s is not a whole number above zero", name)
	}
	*option = count
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*App)(nil)
