package caddyplugin

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("pismo", parseApp)
	httpcaddyfile.RegisterHandlerDirective("pismo_auth", parseAuth)
	httpcaddyfile.RegisterDirectiveOrder("pismo_auth", httpcaddyfile.After, "forward_auth")
	httpcaddyfile.RegisterDirective("pismo_proxy", parseProxy)
	httpcaddyfile.RegisterDirectiveOrder("pismo_proxy", httpcaddyfile.Before, "reverse_proxy")
}

func parseAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(Auth)
	return a, a.UnmarshalCaddyfile(h.Dispenser)
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
