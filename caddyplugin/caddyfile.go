// SPDX-License-Identifier: Apache-2.0

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

// singleArgument returns the one argument of an option.
func singleArgument(d *caddyfile.Dispenser) (string, error) {
	var value string
	if !d.AllArgs(&value) {
		return "", d.ArgErr()
	}
	return value, nil
}

// setOnce sets an option to its one argument. A repeated option is an error.
func setOnce(d *caddyfile.Dispenser, option *string) error {
	name := d.Val()
	value, err := singleArgument(d)
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

// noArguments returns an error if the option has an argument.
func noArguments(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// withCurrentLine adds the line of the current token to an error. It returns
// nil for nil.
func withCurrentLine(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// withLineOf adds the line of a token to an error. It returns nil for nil.
func withLineOf(token caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return withCurrentLine(d, err)
}

// nextToken returns the next token of a dispenser, without consuming it.
func nextToken(d *caddyfile.Dispenser) caddyfile.Token {
	d.Next()
	defer d.Prev()
	return d.Token()
}

// checkClient returns an error, with the line of the directive, if the global
// option does not define the client that the directive names. Without a global
// option, checkClient returns nil: the JSON may define the client.
func checkClient(h httpcaddyfile.Helper, directive caddyfile.Token, name string) error {
	option, ok := h.Option("pismo").(httpcaddyfile.App)
	if !ok {
		return nil
	}
	var app App
	if err := json.Unmarshal(option.Value, &app); err != nil {
		return err
	}
	_, err := selectClient(slices.Sorted(maps.Keys(app.Clients)), name)
	return withLineOf(directive, err)
}

// sameLineToken returns a token on the line of the last token of a block. It
// copies the first token, which is not quoted: Caddy does not treat a quoted
// brace as a brace.
func sameLineToken(block []caddyfile.Token, text string) caddyfile.Token {
	token, last := block[0], block[len(block)-1]
	token.File, token.Line, token.Text = last.File, last.Line+last.NumLineBreaks(), text
	return token
}

// nextLineToken returns a token on the line below a block.
func nextLineToken(block []caddyfile.Token, text string) caddyfile.Token {
	token := sameLineToken(block, text)
	token.Line++
	return token
}

// openBlock returns the tokens of a block without its closing brace.
func openBlock(head, segments []caddyfile.Token) []caddyfile.Token {
	return append(append(slices.Clone(head), sameLineToken(head, "{")), segments...)
}

// block returns the tokens of a block with a head and the segments in it.
func block(head, segments []caddyfile.Token) []caddyfile.Token {
	block := openBlock(head, segments)
	return append(block, nextLineToken(block, "}"))
}

// isPlaceholder reports whether text contains a placeholder.
func isPlaceholder(text string) bool { return strings.Contains(text, "{") }
