// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/middleware"
)

// errorsHandle is the value of the option errors that leaves failures to the
// error routes.
const errorsHandle = "handle"

// checkErrors returns the fault in the option errors.
func checkErrors(value string) error {
	if value != "" && value != errorsHandle {
		return &optionError{"errors", errors.New("is not the word " + errorsHandle)}
	}
	return nil
}

// failureField marks a response of the transport that stands for an error. Its
// value is a secret of the transport, so that no upstream can forge a mark.
const failureField = "Pismo-Failure"

// addFailureRoute adds a response route to a reverse_proxy. The route answers
// the errors of the transport. The transport cannot return them as errors:
// reverse_proxy counts such errors against the upstream. It does not count
// errors of response routes.
func (t *Transport) addFailureRoute(proxy *reverseproxy.Handler) {
	route := caddyhttp.ResponseHandler{
		Match:  &caddyhttp.ResponseMatcher{Headers: http.Header{failureField: {t.health.mark}}},
		Routes: caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{failureHandler{t.Errors}}}},
	}
	proxy.HandleResponse = slices.Insert(proxy.HandleResponse, 0, route)
}

// failureHandler is the handler that answers an error of the transport.
type failureHandler struct{ errors string } // The option errors.

// ServeHTTP returns the error, or answers the request with the problem.
func (h failureHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	failure := requestStateOf(r.Context()).failure
	if h.errors == errorsHandle {
		return routeError(w, failure)
	}
	answer(w, r, middleware.ProblemOf(failure))
	return nil
}

// uncountedStatus returns a status that the passive health checks do not count
// against the upstream. It prefers the given status.
func (t *Transport) uncountedStatus(status int) int {
	for _, candidate := range []int{status, http.StatusOK, http.StatusMultipleChoices, http.StatusBadRequest} {
		if !slices.ContainsFunc(t.unhealthy, func(bad int) bool { return caddyhttp.StatusCodeMatches(candidate, bad) }) {
			return candidate
		}
	}
	return status // The health checks count every status.
}

// routeError returns an error for the error routes.
func routeError(w http.ResponseWriter, err error) error {
	problem := middleware.ProblemOf(err)
	problem.SetRetryAfter(w.Header())
	return caddyhttp.Error(problem.Status, err)
}

// handlesErrors reports whether the handler that Caddy provisions is in a
// subroute with error routes.
func handlesErrors(ctx caddy.Context) bool {
	return slices.ContainsFunc(ctx.Modules(), func(module caddy.Module) bool {
		route, ok := module.(*caddyhttp.Subroute)
		return ok && route.Errors != nil
	})
}

// answerUnreachable answers a request whose upstream cannot be reached. It
// returns any other error, and every error that has an error route. Without an
// error route, Caddy would answer with a bare status.
func (a *Auth) answerUnreachable(w http.ResponseWriter, r *http.Request, err error) error {
	cause := requestStateOf(r.Context()).failure
	if isNoUpstream(err) {
		cause = err
	}
	if a.Errors == errorsHandle || a.errorRoutes || cause == nil || isOwnFailure(cause) || !errors.Is(err, cause) || hasErrorRoute(r, err) {
		return err
	}
	problem := middleware.ProblemOf(cause)
	if isNoUpstream(err) { // Keep the status of reverse_proxy.
		problem.Status, problem.Title = http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable)
		problem.RetryAfter = time.Second
	}
	a.logger.Error("the platform cannot be reached", zap.Int("status", problem.Status), zap.Error(cause))
	answer(w, r, problem)
	return nil
}

// noUpstream is the text of the error that reverse_proxy returns if every
// upstream is down. Caddy does not export the error.
const noUpstream = "no upstreams available"

// isNoUpstream reports whether reverse_proxy found no available upstream.
func isNoUpstream(err error) bool {
	failure, ok := errors.AsType[caddyhttp.HandlerError](err)
	return ok && failure.StatusCode == http.StatusServiceUnavailable && failure.Err != nil && failure.Err.Error() == noUpstream
}

// hasErrorRoute reports whether the server has an error route for the failed
// request.
func hasErrorRoute(r *http.Request, err error) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil {
		return false
	}
	return anyRouteMatches(server.Errors.Routes, server.Errors.WithError(r, err))
}

// anyRouteMatches reports whether a route has a handler for the request. It
// looks into subroutes: the Caddyfile adapter puts the routes of a site there,
// and those of some errors.
func anyRouteMatches(routes caddyhttp.RouteList, r *http.Request) bool {
	return slices.ContainsFunc(routes, func(route caddyhttp.Route) bool {
		if matches, err := route.MatcherSets.AnyMatchWithError(r); !matches && err == nil {
			return false
		}
		return len(route.Handlers) == 0 || slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
			subroute, ok := handler.(*caddyhttp.Subroute)
			return !ok || anyRouteMatches(subroute.Routes, r)
		})
	})
}
