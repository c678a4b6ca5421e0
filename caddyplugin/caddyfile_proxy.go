// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"encoding/json"

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
//	    health_account  <id>|organization|off
//	    errors          handle
//	    <the options of reverse_proxy; its transport must be pismo>
//	}
func parseProxy(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	p := new(proxyOptions)
	if err := p.split(h.Dispenser); err != nil {
		return nil, err
	}
	rest := caddyfile.NewDispenser(block(p.directive, p.reverseProxy))
	helper := h.WithDispenser(rest)
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(rest); err != nil {
		return nil, err
	}
	// Validate after the options of reverse_proxy. A misspelt option account is
	// then reported as unrecognized, not as missing.
	if err := p.validate(h); err != nil {
		return nil, err
	}
	if len(proxy.Upstreams) == 0 && proxy.DynamicUpstreamsRaw == nil {
		return nil, h.Err("pismo_proxy has no upstream; give the address of the platform, such as https://sandbox.pismolabs.io")
	}
	if proxy.TransportRaw, err = p.completeTransport(proxy.TransportRaw); err != nil {
		return nil, err
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(helper); err != nil {
		return nil, err
	}
	// Return one handler: of a named route with several handlers, Caddy uses only
	// the first.
	return h.NewRoute(matchers, &caddyhttp.Subroute{Routes: caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(p.auth, "handler", "pismo_auth", nil),
		caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil),
	}}}}), nil
}

// proxyOptions are the options of a pismo_proxy: those of pismo_auth, of the
// transport, and of reverse_proxy.
type proxyOptions struct {
	auth          Auth
	healthAccount string

	directive    []caddyfile.Token // the directive and its arguments
	reverseProxy []caddyfile.Token // the options in the block that reverse_proxy parses
	transport    *caddyfile.Dispenser
}

// split parses the plugin's own options and collects the others for
// reverse_proxy. It adds the transport pismo if the block has no transport: for
// an https upstream, reverse_proxy would otherwise use its default transport.
func (p *proxyOptions) split(d *caddyfile.Dispenser) error {
	d.Next()
	p.directive = append([]caddyfile.Token{d.Token()}, d.RemainingArgsAsTokens()...)
	for d.NextBlock(0) {
		known, err := p.unmarshalOption(d)
		if err != nil {
			return err
		}
		if !known {
			p.reverseProxy = append(p.reverseProxy, d.NextSegment()...)
		}
	}
	if p.transport == nil {
		name := nextLineToken(openBlock(p.directive, p.reverseProxy), "transport")
		p.reverseProxy = append(p.reverseProxy, name, sameLineToken([]caddyfile.Token{name}, "pismo"))
	}
	return nil
}

// unmarshalOption parses an option. It reports false if the option is not the
// plugin's own.
func (p *proxyOptions) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "client":
		return true, setOnce(d, &p.auth.Client)
	case "health_account":
		if err := setOnce(d, &p.healthAccount); err != nil {
			return true, err
		}
		_, err := newHealthChecks(p.healthAccount)
		return true, withCurrentLine(d, err)
	case "inject":
		return true, d.Err("inject has no effect in pismo_proxy: remove it, or use pismo_auth")
	case "transport":
		return false, p.checkTransport(d)
	}
	return p.auth.unmarshalOption(d)
}

// checkTransport checks the transport before reverse_proxy parses it.
func (p *proxyOptions) checkTransport(d *caddyfile.Dispenser) error {
	if p.transport != nil {
		return d.Err("transport is set twice")
	}
	ahead := *d
	p.transport = ahead.NewFromNextSegment()
	p.transport.Next()
	if !p.transport.NextArg() || p.transport.Val() != "pismo" {
		return p.transport.Err("the transport of pismo_proxy must be pismo: it has all options of transport http")
	}
	return nil
}

// validate returns the fault in the plugin's own options. The directive, its
// transport, or both may name the client. If both do, they must agree.
func (p *proxyOptions) validate(h httpcaddyfile.Helper) error {
	if p.transport != nil && p.transport.NextArg() {
		switch named := p.transport.Val(); p.auth.Client {
		case "":
			p.auth.Client = named
		case named:
		default:
			return p.transport.Errf("the transport is that of client %s, and the option client names %s", named, p.auth.Client)
		}
	}
	if err := checkClient(h, p.directive[0], p.auth.Client); err != nil {
		return err
	}
	return withLineOf(p.directive[0], p.auth.validate())
}

// completeTransport adds the options of the directive to the configuration of
// the transport.
func (p *proxyOptions) completeTransport(raw json.RawMessage) (json.RawMessage, error) {
	t := newTransport()
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, err
	}
	t.Client, t.Errors = p.auth.Client, p.auth.Errors
	if p.healthAccount != "" {
		t.HealthAccount = p.healthAccount
	}
	return caddyconfig.JSONModuleObject(t, "protocol", "pismo", nil), nil
}
