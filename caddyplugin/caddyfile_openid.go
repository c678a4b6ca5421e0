// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
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
		return o.unmarshalSigner(d)
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

// unmarshalSigner parses the option signer, whose module parses the rest.
func (o *OpenID) unmarshalSigner(d *caddyfile.Dispenser) error {
	if o.SignerRaw != nil {
		return d.Err("signer is set twice")
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "pismo.signers."+name)
	if err != nil {
		return err
	}
	o.SignerRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}
