package caddyplugin

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// parseProxy parses the directive pismo_proxy: a route with a handler
// pismo_auth, and a reverse_proxy whose transport is pismo. Syntax:
//
//	pismo_proxy [<matcher>] [<upstreams...>] {
//	    client          <name>
//	    account         <placeholder>|organization|<id>
//	    account_header  <field> <pattern>
//	    account_pattern <regexp>
//	    errors          handle
//	    <the options of reverse_proxy; its transport can be none but pismo>
//	}
func parseProxy(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	auth, rest, err := splitProxy(h.Dispenser)
	if err != nil {
		return nil, err
	}
	helper := h.WithDispenser(rest)
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(rest); err != nil {
		return nil, err
	}
	if len(proxy.Upstreams) == 0 && proxy.DynamicUpstreamsRaw == nil {
		return nil, h.Err("pismo_proxy has no upstream; give the address of the platform, such as https://sandbox.pismolabs.io")
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(helper); err != nil {
		return nil, err
	}
	values := h.NewRoute(matchers, auth)
	for i := range values {
		if route, ok := values[i].Value.(caddyhttp.Route); ok {
			route.HandlersRaw = append(route.HandlersRaw, caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil))
			values[i].Value = route
		}
	}
	return values, nil
}

// splitProxy parses the options that are pismo_auth's, and returns what is left
// for reverse_proxy: with the transport pismo, which it must have before it
// sees an upstream with https, for which it would take the one of its own.
func splitProxy(d *caddyfile.Dispenser) (*Auth, *caddyfile.Dispenser, error) {
	auth := new(Auth)
	d.Next() // The name of the directive.
	name := d.Token()
	head := append([]caddyfile.Token{name}, d.RemainingArgsAsTokens()...)
	open := brace(head[len(head)-1], "{")
	var options, transport []caddyfile.Token
	for d.NextBlock(0) {
		switch d.Val() {
		case "inject":
			return nil, nil, d.Err("inject is for other handlers than reverse_proxy; pismo_proxy has no use for it")
		case "client":
			if err := once(d, &auth.Client); err != nil {
				return nil, nil, err
			}
			continue
		case "transport":
			if transport != nil {
				return nil, nil, d.Err("transport is set twice")
			}
			transport = d.NextSegment()
			if len(transport) < 2 || transport[1].Text != "pismo" {
				return nil, nil, d.Err("the transport of pismo_proxy is pismo, which has all options of transport http")
			}
			continue
		}
		known, err := auth.unmarshalOption(d)
		if err != nil {
			return nil, nil, err
		}
		if !known {
			options = append(options, d.NextSegment()...)
		}
	}
	if err := auth.check(d); err != nil {
		return nil, nil, err
	}
	transport, err := withClient(d, open, transport, auth.Client)
	if err != nil {
		return nil, nil, err
	}
	tokens := append(append(append(head, open), transport...), options...)
	return auth, caddyfile.NewDispenser(append(tokens, closing(tokens))), nil
}

// withClient returns the tokens of the transport of a pismo_proxy, with its
// client.
func withClient(d *caddyfile.Dispenser, open caddyfile.Token, transport []caddyfile.Token, client string) ([]caddyfile.Token, error) {
	if transport == nil {
		line := open
		line.Line++
		transport = []caddyfile.Token{brace(line, "transport"), brace(line, "pismo")}
	}
	named := len(transport) > 2 && transport[2].Text != "{"
	switch {
	case !named && client == "":
		return transport, nil
	case !named:
		with := append([]caddyfile.Token{}, transport[:2]...)
		return append(append(with, brace(transport[1], client)), transport[2:]...), nil
	case transport[2].Text != client:
		return nil, d.Errf("the transport of pismo_proxy is that of client %s; name it with the option client", transport[2].Text)
	}
	return transport, nil
}
