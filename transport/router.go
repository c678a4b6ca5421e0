// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pismoauth/pismoauth/internal/base"
	"github.com/pismoauth/pismoauth/internal/requesttarget"
	"github.com/pismoauth/pismoauth/tokensource"
)

// A Router is an [http.RoundTripper] that sends each request through one of
// several others. With OpenID, a token reaches the endpoints of one permission
// group: give each group its own Source and [Transport], and let a Router
// choose. Organizations and hosts part ways in the same manner. Make a Router
// with [NewRouter]. It is safe for concurrent use.
//
// Each Source has a token for each account that it serves. A token takes about
// 1 KiB, so 10 groups of 10,000 accounts each take about 100 MiB; see
// MaxAccounts of [tokensource.Config]. Requests to the token endpoint multiply
// in the same way.
type Router struct {
	mux           *http.ServeMux
	roundTrippers []http.RoundTripper
	fallback      http.RoundTripper // nil if there is no default
}

// NewRouter returns a Router. The keys of routes are patterns of
// [http.ServeMux], with a method, a host and wildcards. The most specific
// pattern decides:
//
//	transport.NewRouter(map[string]http.RoundTripper{
//		"/accounts/":            accounts,
//		"GET /bankaccounts/v1/": banking,
//	})
//
// The pattern "" is the default, for requests that no other pattern matches.
// Without a default, such a request fails with [ErrNoRoute] before anything is
// sent. A Router does not redirect: "/accounts/" does not match "/accounts",
// which needs a pattern of its own. Only the default matches a path with an
// empty segment, such as "//b".
//
// A request that a server might read as another path fails with ErrNoRoute,
// even if there is a default: the method CONNECT, a URL with an Opaque, and a
// path with a "." or ".." segment, a control character or bytes that are not
// UTF-8. Encoded dots and slashes, backslashes, and a semicolon after the dots
// count too.
//
// The host of a pattern has no port, is in lower case, and is compared with
// Request.URL.Host. A pattern with the method GET also matches HEAD. The error
// reports every fault, as [*tokensource.ConfigError] values joined by
// errors.Join. NewRouter copies routes.
func NewRouter(routes map[string]http.RoundTripper) (*Router, error) {
	r := &Router{mux: http.NewServeMux()}
	var faults []error
	if len(routes) == 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Router", Reason: "has no pattern; name at least one"})
	}
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if reason := r.add(pattern, routes[pattern]); reason != "" {
			faults = append(faults, &tokensource.ConfigError{Field: "Router[" + strconv.Quote(pattern) + "]", Reason: reason})
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return r, nil
}

// A route is a handler that only stands for its RoundTripper.
type route struct {
	http.Handler // nil: a route serves nothing

	roundTripper http.RoundTripper
}

// add adds a route. It returns the fault of an invalid one.
func (r *Router) add(pattern string, rt http.RoundTripper) (fault string) {
	if rt == nil || isNil(rt) {
		return "is nil; give it a RoundTripper"
	}
	if pattern == "" {
		r.fallback = rt
	} else {
		defer func() {
			if recover() != nil { // The only way in which ServeMux reports a fault.
				fault = "is not a pattern of http.ServeMux, or conflicts with another pattern"
			}
		}()
		r.mux.Handle(pattern, &route{roundTripper: rt})
	}
	r.roundTrippers = append(r.roundTrippers, rt)
	return ""
}

// RoundTrip sends req through the RoundTripper of the pattern that matches it.
func (r *Router) RoundTrip(req *http.Request) (*http.Response, error) {
	rt := r.routeOf(req)
	if rt == nil {
		closeBody(req)
		return nil, ErrNoRoute
	}
	return rt.RoundTrip(req)
}

// routeOf returns the RoundTripper for req, or nil.
func (r *Router) routeOf(req *http.Request) http.RoundTripper {
	if req.URL == nil || req.Method == http.MethodConnect || !requesttarget.Unambiguous(req) {
		return nil
	}
	target := *req.URL
	if target.Path == "" {
		target.Path = "/" // net/http sends it so.
	}
	// A server's request has a Host and a Method. Those of a client may be
	// empty.
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	handler, _ := r.mux.Handler(&http.Request{Method: method, URL: &target, Host: strings.ToLower(target.Host)})
	if matched, ok := handler.(*route); ok {
		return matched.roundTripper
	}
	// The handler redirects to a clean path, or answers 404 or 405.
	return r.fallback
}

// CloseIdleConnections closes the idle connections of all RoundTrippers that
// have that method.
func (r *Router) CloseIdleConnections() {
	for _, rt := range r.roundTrippers {
		base.CloseIdle(rt)
	}
}
