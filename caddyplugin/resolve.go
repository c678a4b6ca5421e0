// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// resolve returns a copy of the client with its placeholders replaced, except
// for those of the credentials.
func (c *Client) resolve(repl *caddy.Replacer) (*Client, error) {
	resolved := *c
	resolved.Hosts = slices.Clone(c.Hosts)
	resolved.Header = c.Header.Clone()
	r := resolver{repl: repl}
	resolved.BaseURL = r.text("base_url", c.BaseURL)
	r.list("hosts", resolved.Hosts)
	for _, values := range resolved.Header {
		r.list("header", values)
	}
	resolved.Fields, _ = r.value("field", c.Fields).(map[string]any)
	resolved.OpenID = c.OpenID.resolve(&r)
	if c.Transport != nil && c.Transport.TLS != nil {
		outer, inner := *c.Transport, *c.Transport.TLS
		inner.ServerName = r.text("tls_server_name", inner.ServerName)
		resolved.Transport, outer.TLS = &outer, &inner
	}
	if len(resolved.Hosts) == 0 {
		resolved.Hosts = []string{bracketIPv6(hostOf(resolved.BaseURL))}
	}
	return &resolved, r.err
}

// A resolver replaces placeholders, and keeps the first error.
type resolver struct {
	repl *caddy.Replacer
	err  error
}

// text returns the text of an option with its placeholders replaced.
func (r *resolver) text(option, text string) string {
	replaced, err := r.repl.ReplaceOrErr(text, true, true)
	if err != nil && r.err == nil {
		r.err = &optionError{option, err}
	}
	return replaced
}

// list replaces the placeholders of a list.
func (r *resolver) list(option string, texts []string) {
	for i, text := range texts {
		texts[i] = r.text(option, text)
	}
}

// value returns a copy of a JSON value with the placeholders of its strings
// replaced.
func (r *resolver) value(option string, value any) any {
	switch value := value.(type) {
	case string:
		return r.text(option, value)
	case []any:
		replaced := make([]any, len(value))
		for i, element := range value {
			replaced[i] = r.value(option, element)
		}
		return replaced
	case map[string]any:
		replaced := make(map[string]any, len(value))
		for name, element := range value {
			replaced[name] = r.value(option, element)
		}
		return replaced
	default:
		return value
	}
}
