package caddyplugin

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// parseProxy parses the directive pismo_proxy: a subroute of a handler
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
	// One handler, for of a named route with several Caddy takes but the first.
	return h.NewRoute(matchers, &caddyhttp.Subroute{Routes: caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(auth, "handler", "pismo_auth", nil),
		caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil),
	}}}}), nil
}

// splitProxy parses the options that are pismo_auth's, and returns what is left
// for reverse_proxy: with the transport pismo, which it must have before it
// sees an upstream with https, for which it would take the one of its own.
func splitProxy(d *caddyfile.Dispenser) (*Auth, *caddyfile.Dispenser, error) {
	auth := new(Auth)
	d.Next() // The name of the directive.
	rest := append([]caddyfile.Token{d.Token()}, d.RemainingArgsAsTokens()...)
	rest = append(rest, beside(rest, "{"))
	at := 0 // Where its transport stands.
	for d.NextBlock(0) {
		switch d.Val() {
		case "client":
			if err := once(d, &auth.Client); err != nil {
				return nil, nil, err
			}
			continue
		case "inject":
			return nil, nil, d.Err("inject is for other handlers than reverse_proxy; pismo_proxy has no use for it")
		case "transport":
			if at > 0 {
				return nil, nil, d.Err("transport is set twice")
			}
			at = len(rest)
		}
		known, err := auth.unmarshalOption(d)
		if err != nil {
			return nil, nil, err
		}
		if !known {
			rest = append(rest, d.NextSegment()...)
		}
	}
	if err := auth.check(d); err != nil {
		return nil, nil, err
	}
	if at == 0 {
		at = len(rest)
		rest = append(rest, below(rest, "transport"))
		rest = append(rest, beside(rest, "pismo"))
	}
	rest, err := auth.share(rest, at)
	if err != nil {
		return nil, nil, err
	}
	return auth, caddyfile.NewDispenser(append(rest, below(rest, "}"))), nil
}

// share returns the tokens of a proxy, in which those of the transport begin at
// an index, with the client that is the handler's too: either may name it, and
// both if they agree.
func (a *Auth) share(tokens []caddyfile.Token, at int) ([]caddyfile.Token, error) {
	transport := caddyfile.NewDispenser(tokens[at:])
	transport.Next()
	if !transport.NextArg() || transport.Val() != "pismo" {
		return nil, transport.Err("the transport of pismo_proxy is pismo, which has all options of transport http")
	}
	switch named := transport.NextArg(); {
	case named && a.Client == "":
		a.Client = transport.Val()
	case named && a.Client != transport.Val():
		return nil, transport.Errf("the transport is that of client %s, and the option client names %s", transport.Val(), a.Client)
	case !named && a.Client != "":
		return slices.Insert(tokens, at+2, beside(tokens[at:at+2], a.Client)), nil
	}
	return tokens, nil
}
