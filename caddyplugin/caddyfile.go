package caddyplugin

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("pismo", parseApp)
	httpcaddyfile.RegisterHandlerDirective("pismo_auth", parseAuth)
	httpcaddyfile.RegisterDirectiveOrder("pismo_auth", httpcaddyfile.After, "forward_auth")
	httpcaddyfile.RegisterDirective("pismo_proxy", parseProxy)
	httpcaddyfile.RegisterDirectiveOrder("pismo_proxy", httpcaddyfile.Before, "reverse_proxy")
}

// argument returns the one argument of an option.
func argument(d *caddyfile.Dispenser) (string, error) {
	var value string
	if !d.AllArgs(&value) {
		return "", d.ArgErr()
	}
	return value, nil
}

// once sets an option to its one argument, and refuses to set it again.
func once(d *caddyfile.Dispenser, option *string) error {
	name := d.Val()
	value, err := argument(d)
	switch {
	case err != nil:
		return err
	case value == "":
		return d.Errf("%s is empty", name)
	case *option != "":
		return d.Errf("%s is set twice", name)
	}
	*option = value
	return nil
}

// none refuses arguments.
func none(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// wrap returns an error with the line that has been read last, or nil if there
// is none.
func wrap(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// at returns an error with the line of a token, or nil if there is none.
func at(token caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return wrap(d, err)
}

// nextOf returns the token that a dispenser returns next.
func nextOf(d *caddyfile.Dispenser) caddyfile.Token {
	d.Next()
	defer d.Prev()
	return d.Token()
}

// checkClient returns what is wrong with the client that a directive names, at
// its line: that the global option defines another. Without a global option,
// the JSON may have the client.
func checkClient(h httpcaddyfile.Helper, directive caddyfile.Token, name string) error {
	option, ok := h.Option("pismo").(httpcaddyfile.App)
	if !ok {
		return nil
	}
	var app App
	if err := json.Unmarshal(option.Value, &app); err != nil {
		return err
	}
	_, err := chosen(slices.Sorted(maps.Keys(app.Clients)), name)
	return at(directive, err)
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

// opened returns the tokens of a block with a head and the segments in it, which
// is not closed.
func opened(head, segments []caddyfile.Token) []caddyfile.Token {
	return append(append(slices.Clone(head), beside(head, "{")), segments...)
}

// braced returns the tokens of a block with a head and the segments in it.
func braced(head, segments []caddyfile.Token) []caddyfile.Token {
	block := opened(head, segments)
	return append(block, below(block, "}"))
}

// isPlaceholder reports whether text has a placeholder in it.
func isPlaceholder(text string) bool { return strings.Contains(text, "{") }
