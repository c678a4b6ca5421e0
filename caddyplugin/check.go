package caddyplugin

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// checkProxy checks the reverse_proxy that the transport is part of: the
// innermost, for one may stand in another's handle_response.
func (t *Transport) checkProxy(ctx caddy.Context) error {
	t.pass = http.StatusOK
	for _, module := range slices.Backward(ctx.Modules()) {
		if proxy, ok := module.(*reverseproxy.Handler); ok {
			return t.check(ctx, proxy)
		}
	}
	return nil
}

func (t *Transport) check(ctx caddy.Context, proxy *reverseproxy.Handler) error {
	for _, upstream := range proxy.Upstreams {
		if err := t.checkUpstream(upstream.Dial); err != nil {
			return err
		}
	}
	if err := t.checkHealth(proxy.HealthChecks); err != nil {
		return err
	}
	t.warn(ctx.Logger(), proxy)
	return nil
}

// checkHealth notes what a health check that passes looks like.
func (t *Transport) checkHealth(checks *reverseproxy.HealthChecks) error {
	if checks == nil || checks.Active == nil {
		return nil
	}
	if checks.Active.Upstream != "" {
		if err := t.checkUpstream(checks.Active.Upstream); err != nil {
			return fmt.Errorf("health_upstream: %w", err)
		}
	}
	switch expected := checks.Active.ExpectStatus; {
	case expected >= 100:
		t.pass = expected
	case expected > 0: // A class: 2 is for 2xx.
		t.pass = expected * 100
	}
	return nil
}

// warn warns of what takes an answer of ours for the upstream's. It cannot see
// whether a pismo_auth is in front, which answers before an upstream is chosen;
// but where there is one, the transport needs no account of its own.
func (t *Transport) warn(logger *zap.Logger, proxy *reverseproxy.Handler) {
	if checks := proxy.HealthChecks; checks != nil && checks.Active != nil && checks.Active.ExpectBody != "" {
		logger.Warn("health checks expect a body, which one without a token cannot have: no token for the organization will look like an upstream that is down")
	}
	if !t.account.known() {
		return
	}
	const advice = "an outage of the token endpoint will look like an upstream that is down; use pismo_proxy, or pismo_auth in front"
	if checks := proxy.HealthChecks; checks != nil && checks.Passive != nil {
		if len(checks.Passive.UnhealthyStatus) > 0 {
			logger.Warn(advice, zap.String("option", "unhealthy_status"))
		}
		if checks.Passive.UnhealthyLatency > 0 {
			logger.Warn(advice, zap.String("option", "unhealthy_latency"))
		}
	}
	if len(proxy.CBRaw) > 0 || proxy.CB != nil {
		logger.Warn(advice, zap.String("option", "circuit_breaker"))
	}
}

// isHealthCheck reports whether a request is an active health check, and so
// nobody's.
func isHealthCheck(req *http.Request) bool {
	return req.Context().Value(caddyhttp.VarsCtxKey) == nil
}

// passed answers a health check that could not be sent for a reason of ours.
func (t *Transport) passed(req *http.Request, err error) *http.Response {
	t.live.report.unchecked(err)
	return response(t.pass, http.Header{}, nil, req)
}
