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
//	    max_replay_body <size>|off
//	    hosts           <hosts...>
//	    <the options of transport http>
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // The name of the transport.
	name := d.Token()
	if d.NextArg() {
		t.Client = d.Val()
	}
	if err := none(d); err != nil {
		return err
	}
	rest := []caddyfile.Token{name}
	rest = append(rest, beside(rest, "{"))
	for d.NextBlock(0) {
		known, err := t.unmarshalOption(d)
		if err != nil {
			return err
		}
		if !known {
			rest = append(rest, d.NextSegment()...)
		}
	}
	if _, err := newAccountOf(t.Account, t.AccountPattern); err != nil {
		return d.WrapErr(err)
	}
	if len(rest) == 2 {
		return nil
	}
	return t.HTTPTransport.UnmarshalCaddyfile(caddyfile.NewDispenser(append(rest, below(rest, "}"))))
}

// unmarshalOption parses an option, and reports whether it is one of ours.
func (t *Transport) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "account":
		return true, once(d, &t.Account)
	case "account_pattern":
		return true, once(d, &t.AccountPattern)
	case "hosts":
		return true, unmarshalHosts(d, &t.Hosts)
	case "max_replay_body":
		return true, t.unmarshalMaxReplayBody(d)
	}
	return false, nil
}

func (t *Transport) unmarshalMaxReplayBody(d *caddyfile.Dispenser) error {
	value, err := argument(d)
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

// beside returns a token that stands beside the last of a block. It is made of
// the first, which is not quoted: a brace that is, is none.
func beside(block []caddyfile.Token, text string) caddyfile.Token {
	token, last := block[0], block[len(block)-1]
	token.File, token.Line, token.Text = last.File, last.Line+last.NumLineBreaks(), text
	return token
}

// below returns a token that stands on the line below a block.
func below(block []caddyfile.Token, text string) caddyfile.Token {
	token := beside(block, text)
	token.Line++
	return token
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Transport)(nil)
