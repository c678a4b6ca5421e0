// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/transport"
)

// provisionProxy checks the reverse_proxy that contains the transport. It takes
// the innermost: a reverse_proxy may be in the handle_response of another.
func (t *Transport) provisionProxy(ctx caddy.Context) error {
	for _, module := range slices.Backward(ctx.Modules()) {
		if proxy, ok := module.(*reverseproxy.Handler); ok {
			return t.checkProxy(ctx, proxy)
		}
	}
	return nil
}

func (t *Transport) checkProxy(ctx caddy.Context, proxy *reverseproxy.Handler) error {
	if err := t.checkPrecedingAuth(ctx); err != nil {
		return err
	}
	for _, upstream := range proxy.Upstreams {
		if err := t.checkUpstream(upstream.Dial); err != nil {
			return err
		}
	}
	if proxy.Headers != nil && proxy.Headers.Request != nil {
		if err := t.checkHeaderUp(proxy.Headers.Request, proxy); err != nil {
			return err
		}
	}
	if err := t.provisionHealth(proxy.HealthChecks); err != nil {
		return err
	}
	if checks := proxy.HealthChecks; checks != nil && checks.Passive != nil {
		t.unhealthy = checks.Passive.UnhealthyStatus
	}
	if t.Errors == errorsHandle || len(t.unhealthy) > 0 {
		t.addFailureRoute(proxy)
	}
	t.warnPassiveHealth(ctx.Logger(), proxy)
	return nil
}

// warnPassiveHealth warns of options that count the plugin's own answers
// against the upstream. A pismo_auth in front answers before an upstream is
// chosen, so these options are then harmless. The check cannot see a
// pismo_auth. It assumes one if the transport has no account.
func (t *Transport) warnPassiveHealth(logger *zap.Logger, proxy *reverseproxy.Handler) {
	if !t.account.isSet() {
		return
	}
	const advice = "an outage of the token endpoint will look like an upstream that is down; use pismo_proxy, or pismo_auth in front"
	if checks := proxy.HealthChecks; checks != nil && checks.Passive != nil && checks.Passive.UnhealthyLatency > 0 {
		logger.Warn(advice, zap.String("option", "unhealthy_latency"))
	}
	if len(proxy.CBRaw) > 0 || proxy.CB != nil {
		logger.Warn(advice, zap.String("option", "circuit_breaker"))
	}
}

// checkHeaderUp returns an error if requests would get no token because of the
// Host that header_up sets. It records whether header_up sets the Host.
func (t *Transport) checkHeaderUp(ops *headers.HeaderOps, proxy *reverseproxy.Handler) error {
	for _, fields := range []map[string][]string{ops.Set, ops.Add} {
		for name, values := range fields {
			if err := t.checkHostHeader("header_up", name, values, proxy); err != nil {
				return err
			}
			t.setsHost = t.setsHost || strings.EqualFold(name, "Host")
		}
	}
	return nil
}

// checkHostHeader returns an error if the field is Host and requests with one
// of the values would get no token. Values with placeholders are checked for
// each request.
func (t *Transport) checkHostHeader(option, name string, values []string, proxy *reverseproxy.Handler) error {
	if !strings.EqualFold(name, "Host") {
		return nil
	}
	for _, value := range values {
		if isPlaceholder(value) || t.isListed(value) || proxy != nil && isUpstream(proxy, value) {
			continue
		}
		return &optionError{option + " Host", fmt.Errorf("%s is not in hosts of the client; add it there, or leave the Host to Caddy", value)}
	}
	return nil
}

// isUpstream reports whether a Host may be the address of an upstream. Only the
// configuration chooses that address.
func isUpstream(proxy *reverseproxy.Handler, host string) bool {
	return proxy.DynamicUpstreamsRaw != nil || proxy.DynamicUpstreams != nil ||
		slices.ContainsFunc(proxy.Upstreams, func(u *reverseproxy.Upstream) bool { return u.Dial == host || isPlaceholder(u.Dial) })
}

// checkUpstream returns an error if an upstream of the configuration would get
// no token. Upstreams with placeholders are checked for each request.
func (t *Transport) checkUpstream(dial string) error {
	if isPlaceholder(dial) || t.TLS != nil && isPlaceholder(t.TLS.ServerName) {
		return nil
	}
	address, err := caddy.ParseNetworkAddress(dial)
	if err != nil {
		return nil //nolint:nilerr // reverse_proxy reports the fault.
	}
	to := target{network: address.Network, host: address.Host, scheme: "http"}
	if t.TLS != nil && !slices.Contains(t.TLS.ExceptPorts, fmt.Sprint(address.StartPort)) {
		to.scheme = "https"
	}
	scheme, host := t.verifiedTarget(to, caddy.NewReplacer())
	if err := t.authorized.Accepts(&url.URL{Scheme: scheme, Host: host}); err != nil {
		return t.refusedUpstream(dial, to, scheme, host, err)
	}
	return nil
}

// refusedUpstream returns the error for an upstream that may not get a token.
// The error names the option to change.
func (t *Transport) refusedUpstream(dial string, to target, scheme, host string, err error) error {
	switch {
	case to.scheme == "https" && t.TLS.InsecureSkipVerify:
		return &optionError{"tls_insecure_skip_verify", fmt.Errorf("any server could act as upstream %s and would get the token; use tls_trust_pool, or tls_server_name", dial)}
	case scheme == "http" && host == "":
		return &optionError{"network_proxy", fmt.Errorf("would see the token for upstream %s in the clear; use https://", dial)}
	case errors.Is(err, transport.ErrPlaintext):
		return &optionError{"upstream " + dial, errors.New("would get the token in the clear; use https://")}
	default:
		return &optionError{"upstream " + dial, fmt.Errorf("%s is not in hosts; add it to those of the client, or set tls_server_name to the name that the upstream's certificate proves", host)}
	}
}
