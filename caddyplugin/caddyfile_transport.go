// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// UnmarshalCaddyfile sets up the transport from Caddyfile tokens. Syntax:
//
//	transport pismo [<client>] {
//	    account         <placeholder>|organization|<id>
//	    account_pattern <regexp>
//	    health_account  <id>|organization|off
//	    max_replay_body <size>|off
//	    hosts           <hosts...>
//	    errors          handle
//	    <the options of transport http>
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	name := d.Token()
	if d.NextArg() {
		t.Client = d.Val()
	}
	if err := noArguments(d); err != nil {
		return err
	}
	var rest []caddyfile.Token
	for d.NextBlock(0) {
		known, err := t.unmarshalOption(d)
		if err != nil {
			return err
		}
		if !known {
			rest = append(rest, d.NextSegment()...)
		}
	}
	if _, err := newAccountRule(t.Account, t.AccountPattern); err != nil {
		return withLineOf(name, err)
	}
	if len(rest) == 0 {
		return nil
	}
	return t.HTTPTransport.UnmarshalCaddyfile(caddyfile.NewDispenser(block([]caddyfile.Token{name}, rest)))
}

// unmarshalOption parses an option. It reports false if the option is not the
// plugin's own. An error has the line of the option.
func (t *Transport) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "account":
		err = setOnce(d, &t.Account)
	case "account_pattern":
		err = setOnce(d, &t.AccountPattern)
	case "health_account":
		err = setOnce(d, &t.HealthAccount)
	case "errors":
		err = setOnce(d, &t.Errors)
	case "hosts":
		return true, unmarshalHosts(d, &t.Hosts)
	case "max_replay_body":
		return true, t.unmarshalMaxReplayBody(d)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, withCurrentLine(d, t.validatePartial())
}

// validatePartial returns the fault in the options that are set. Further
// options cannot remove such a fault.
func (t *Transport) validatePartial() error {
	if err := checkAccount(t.Account, t.AccountPattern); err != nil {
		return err
	}
	if _, err := newHealthChecks(t.HealthAccount); err != nil {
		return err
	}
	return checkErrors(t.Errors)
}

func (t *Transport) unmarshalMaxReplayBody(d *caddyfile.Dispenser) error {
	value, err := singleArgument(d)
	if err != nil {
		return err
	}
	if value == "off" {
		t.MaxReplayBody = -1
		return nil
	}
	size, err := humanize.ParseBytes(value)
	if err != nil || size == 0 || size > 1<<30 {
		return d.Err("max_replay_body is not a size of up to 1GiB, such as 64KiB, nor the word off")
	}
	t.MaxReplayBody = int64(size)
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Transport)(nil)
