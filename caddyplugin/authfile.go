package caddyplugin

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

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
	d.Next() // The name of the directive.
	if d.NextArg() {
		a.Client = d.Val()
	}
	if err := none(d); err != nil {
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
	return a.check(d)
}

// unmarshalOption parses an option, and reports whether there is one of that
// name.
func (a *Auth) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "account":
		return true, once(d, &a.Account)
	case "account_pattern":
		return true, once(d, &a.AccountPattern)
	case "account_header":
		if a.AccountHeader != "" {
			return true, d.Err("account_header is set twice")
		}
		if !d.AllArgs(&a.AccountHeader, &a.AccountHeaderPattern) {
			return true, d.ArgErr()
		}
		return true, nil
	case "errors":
		return true, once(d, &a.Errors)
	case "inject":
		a.Inject = true
		return true, none(d)
	}
	return false, nil
}

// check finds the faults that do not need a running Caddy.
func (a *Auth) check(d *caddyfile.Dispenser) error {
	if _, err := a.finder(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Auth)(nil)
