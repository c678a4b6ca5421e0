// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalOpenID parses the option openid of a client.
func (c *Client) unmarshalOpenID(d *caddyfile.Dispenser) error {
	if c.OpenID != nil {
		return d.Err("openid is set twice")
	}
	if err := noArguments(d); err != nil {
		return err
	}
	c.OpenID = new(OpenID)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := c.OpenID.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

// unmarshalOption parses an option of openid.
func (o *OpenID) unmarshalOption(d *caddyfile.Dispenser) error {
	texts := map[string]*string{
		"issuer": &o.Issuer, "subject": &o.Subject, "audience": &o.Audience, "tenant": &o.Tenant, "group": &o.Group,
		"organization_uid": &o.OrganizationUID, "key_id": &o.KeyID, "token_path": &o.TokenPath,
	}
	switch option := d.Val(); option {
	case "key_file":
		if o.KeyFiles != nil {
			return d.Err("key_file is set twice; name the next keys after the first")
		}
		if o.KeyFiles = d.RemainingArgs(); len(o.KeyFiles) == 0 {
			return d.ArgErr()
		}
		return nil
	case "signer":
		return unmarshalModule(d, "pismo.signers.", "", &o.SignerRaw)
	case "assertion_lifetime":
		return unmarshalDuration(d, &o.AssertionLifetime)
	default:
		text, ok := texts[option]
		if !ok {
			return d.Errf("unrecognized option %s of openid", option)
		}
		return setOnce(d, text)
	}
}

// unmarshalModule parses an option whose argument names a module of a
// namespace. The module parses the rest. The hint ends the error for a module
// that this Caddy does not have.
func unmarshalModule(d *caddyfile.Dispenser, namespace, hint string, raw *json.RawMessage) error {
	if *raw != nil {
		return d.Errf("%s is set twice", d.Val())
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	if _, err := caddy.GetModule(namespace + name); err != nil {
		return d.Errf("this Caddy has no module %s%s: build it in%s", namespace, name, hint)
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+name)
	if err != nil {
		return err
	}
	*raw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}
