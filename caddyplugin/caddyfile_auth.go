// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseAuth parses the directive pismo_auth.
func parseAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(Auth)
	name := nextToken(h.Dispenser)
	if err := a.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return a, checkClient(h, name, a.Client)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	pismo_auth [<matcher>] [<client>] {
//	    account         <placeholder>|organization|<id>
//	    account_header  <field> <pattern>
//	    account_pattern <regexp>
//	    errors          handle
//	    inject
//	}
func (a *Auth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	name := d.Token()
	if d.NextArg() {
		a.Client = d.Val()
	}
	if err := noArguments(d); err != nil {
		return err
	}
	for d.NextBlock(0) {
		known, err := a.unmarshalOption(d)
		if err != nil {
			return err
		}
		if !known {
			return d.Errf("unrecognized option %s of pismo_auth", d.Val())
		}
	}
	return withLineOf(name, a.validate())
}

// unmarshalOption parses an option. It reports false if it does not know the
// name. An error has the line of the option.
func (a *Auth) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "account":
		err = setOnce(d, &a.Account)
	case "account_pattern":
		err = setOnce(d, &a.AccountPattern)
	case "account_header":
		err = a.unmarshalAccountHeader(d)
	case "errors":
		err = setOnce(d, &a.Errors)
	case "inject":
		a.Inject, err = true, noArguments(d)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, withCurrentLine(d, a.validatePartial())
}

func (a *Auth) unmarshalAccountHeader(d *caddyfile.Dispenser) error {
	if a.AccountHeader != "" {
		return d.Err("account_header is set twice")
	}
	if !d.AllArgs(&a.AccountHeader, &a.AccountHeaderPattern) {
		return d.ArgErr()
	}
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Auth)(nil)
