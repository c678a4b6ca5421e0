// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// checkPrecedingAuth returns an error if no request can have an account: the
// transport has no account, and no pismo_auth can run before it. It reports
// nothing on a server with named routes: their requests are not known when the
// configuration is loaded.
func (t *Transport) checkPrecedingAuth(ctx caddy.Context) error {
	modules := ctx.Modules()
	server, ok := modules[0].(*caddyhttp.App)
	if !ok || t.account.isSet() || hasNamedRoutes(server) {
		return nil
	}
	if slices.ContainsFunc(t.client.app.auths, func(auth []caddy.Module) bool { return mayPrecede(auth, modules) }) {
		return nil
	}
	return &optionError{"account", errors.New("is not set, and no pismo_auth is in front of this reverse_proxy; set it in transport pismo, use pismo_proxy, or put pismo_auth in front")}
}

// hasNamedRoutes reports whether a server has named routes.
func hasNamedRoutes(app *caddyhttp.App) bool {
	for _, server := range app.Servers {
		if len(server.NamedRoutes) > 0 {
			return true
		}
	}
	return false
}

// mayPrecede reports whether a provisioned handler may run before the current
// handler, which Caddy provisions now. Both handlers are given by their parent
// modules.
func mayPrecede(handler, of []caddy.Module) bool {
	depth := 0
	for depth < min(len(handler), len(of)) && handler[depth] == of[depth] {
		depth++
	}
	if depth == 0 || depth == len(handler) {
		return false
	}
	for _, routes := range routeListsOf(handler[depth-1]) {
		for _, route := range routes {
			if slices.ContainsFunc(route.Handlers, func(h caddyhttp.MiddlewareHandler) bool { return any(h) == any(handler[depth]) }) {
				return reachesCurrent(route, routes)
			}
		}
	}
	return true // The handler is in the current route.
}

// routeListsOf returns the lists of routes in a module.
func routeListsOf(module caddy.Module) []caddyhttp.RouteList {
	switch module := module.(type) {
	case *caddyhttp.App:
		var lists []caddyhttp.RouteList
		for _, server := range module.Servers {
			lists = append(lists, server.Routes)
		}
		return lists
	case *caddyhttp.Subroute:
		return []caddyhttp.RouteList{module.Routes}
	default:
		return nil
	}
}

// reachesCurrent reports whether a request may go from a route to the current
// route of the same list. The current route is the first that Caddy has not yet
// provisioned.
func reachesCurrent(route caddyhttp.Route, routes caddyhttp.RouteList) bool {
	current := slices.IndexFunc(routes, func(r caddyhttp.Route) bool { return r.HandlersRaw != nil })
	return current >= 0 && !route.Terminal && (route.Group == "" || route.Group != routes[current].Group)
}
