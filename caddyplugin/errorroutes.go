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

// checkErrors returns what is wrong with the option errors.
func checkErrors(value string) error {
	if value != "" && value != errorsHandle {
		return &optionError{"errors", errors.New("is not the word " + errorsHandle)}
	}
	return nil
}

// failureField marks a response of the transport that stands for an error. Its
// value is a secret of the transport's, so that no upstream can make one.
const failureField = "Pismo-Failure"

// addFailureRoute has a response route of a reverse_proxy answer for the
// errors of the transport. The transport cannot return the errors itself:
// reverse_proxy counts an error against the upstream. It does not count those
// of its response routes.
func (t *Transport) addFailureRoute(proxy *reverseproxy.Handler) {
	route := caddyhttp.ResponseHandler{
		Match:  &caddyhttp.ResponseMatcher{Headers: http.Header{failureField: {t.health.mark}}},
		Routes: caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{failureHandler{t.Errors}}}},
	}
	proxy.HandleResponse = slices.Insert(proxy.HandleResponse, 0, route)
}

// failureHandler is a handler that answers for the error of the proxy which
// runs it.
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
// against the upstream: the given one, if they do not count that.
func (t *Transport) uncountedStatus(status int) int {
	for _, candidate := range []int{status, http.StatusOK, http.StatusMultipleChoices, http.StatusBadRequest} {
		if !slices.ContainsFunc(t.unhealthy, func(bad int) bool { return caddyhttp.StatusCodeMatches(candidate, bad) }) {
			return candidate
		}
	}
	return status // They count everything.
}

// routeError returns an error for the error routes.
func routeError(w http.ResponseWriter, err error) error {
	problem := middleware.ProblemOf(err)
	problem.SetRetryAfter(w.Header())
	return caddyhttp.Error(problem.Status, err)
}

// handlesErrors reports whether a handler that is being provisioned stands in a
// subroute with error routes of its own.
func handlesErrors(ctx caddy.Context) bool {
	return slices.ContainsFunc(ctx.Modules(), func(module caddy.Module) bool {
		route, ok := module.(*caddyhttp.Subroute)
		return ok && route.Errors != nil
	})
}

// answerUnreachable answers a request to an upstream that could not be reached,
// or returns the error: if it is another one, or if there are routes for it.
// Without them, Caddy would answer with nothing but a status.
func (a *Auth) answerUnreachable(w http.ResponseWriter, r *http.Request, err error) error {
	cause := requestStateOf(r.Context()).failure
	if isNoUpstream(err) {
		cause = err
	}
	if a.Errors == errorsHandle || a.errorRoutes || cause == nil || isOwnFailure(cause) || !errors.Is(err, cause) || hasErrorRoute(r, err) {
		return err
	}
	problem := middleware.ProblemOf(cause)
	if isNoUpstream(err) { // The status is that of reverse_proxy.
		problem.Status, problem.Title = http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable)
		problem.RetryAfter = time.Second
	}
	a.logger.Error("the platform cannot be reached", zap.Int("status", problem.Status), zap.Error(cause))
	answer(w, r, problem)
	return nil
}

// noUpstream is the text of the error with which reverse_proxy says that each
// upstream is known to be down. The error is not exported.
const noUpstream = "no upstreams available"

// isNoUpstream reports whether reverse_proxy had no upstream to send a request
// to.
func isNoUpstream(err error) bool {
	failure, ok := errors.AsType[caddyhttp.HandlerError](err)
	return ok && failure.StatusCode == http.StatusServiceUnavailable && failure.Err != nil && failure.Err.Error() == noUpstream
}

// hasErrorRoute reports whether the server has an error route for a request
// that fails.
func hasErrorRoute(r *http.Request, err error) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil {
		return false
	}
	return anyRouteMatches(server.Errors.Routes, server.Errors.WithError(r, err))
}

// anyRouteMatches reports whether a request has a handler in some routes. What
// a Caddyfile has for a site, and for some errors, stands in subroutes.
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
