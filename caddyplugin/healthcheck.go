// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// healthCheckField marks the active health checks of reverse_proxy: the
// transport receives them among all other requests. Its value is a secret of
// the transport, so that no client can forge a health check. The transport
// removes the field before it sends the request.
const healthCheckField = "Pismo-Health-Check"

// healthChecks describes the active health checks of a reverse_proxy.
type healthChecks struct {
	mark    string              // the value of healthCheckField
	account tokensource.Account // zero: send the checks without a token
	status  int                 // of a health check that passes
	body    string              // of a health check that passes
}

// healthOff is a value of HealthAccount with the same meaning as "".
const healthOff = "off"

// newHealthChecks parses the option health_account.
func newHealthChecks(account string) (healthChecks, error) {
	h := healthChecks{mark: rand.Text(), status: http.StatusOK}
	if account == "" || account == healthOff {
		return h, nil
	}
	of, err := newAccountRule(account, "")
	if err != nil || of.placeholder != "" {
		return h, &optionError{"health_account", errors.New("is neither an account id, nor the word organization, nor the word off")}
	}
	h.account = of.fixed
	return h, nil
}

// configure adds the mark to the health checks of a reverse_proxy, and records
// the status and the body of a check that passes.
func (h *healthChecks) configure(active *reverseproxy.ActiveHealthChecks) {
	if active.Headers == nil {
		active.Headers = http.Header{}
	}
	active.Headers[healthCheckField] = []string{h.mark}
	switch expected := active.ExpectStatus; {
	case expected >= 100:
		h.status = expected
	case expected > 0: // A class: 2 is for 2xx.
		h.status = expected * 100
	}
	if _, err := regexp.Compile(active.ExpectBody); err == nil && active.ExpectBody != "" {
		h.body = rand.Text()
		active.ExpectBody = `(?:` + active.ExpectBody + `)|\A` + h.body + `\z`
	}
}

// isHealthCheck reports whether a request is one of the health checks.
func (h *healthChecks) isHealthCheck(req *http.Request) bool {
	values := req.Header[healthCheckField]
	return len(values) == 1 && subtle.ConstantTimeCompare([]byte(values[0]), []byte(h.mark)) == 1
}

// passResponse returns the response to a health check that passes.
func (h *healthChecks) passResponse(req *http.Request) *http.Response {
	return response(h.status, http.Header{}, []byte(h.body), req)
}

// sendHealthCheck sends a health check for health_account, or without a token
// if health_account is not set. A missing token says nothing about the
// upstream, so the check passes if no token can be issued, and if the upstream
// refuses a check without a token. A check fails if the configuration keeps it
// from being sent.
func (t *Transport) sendHealthCheck(req *http.Request) (*http.Response, error) {
	out := req.WithContext(req.Context())
	dropField(out, healthCheckField)
	if t.health.account == (tokensource.Account{}) {
		return t.sendBareHealthCheck(out)
	}
	ctx := tokensource.ContextWithHealthCheck(tokensource.ContextWithAccount(out.Context(), t.health.account))
	resp, err := t.authorize(out.WithContext(ctx))
	switch {
	case err == nil && isTokenRefusal(resp):
		_ = resp.Body.Close() // The response is replaced.
		return t.health.passResponse(req), nil
	case err == nil:
		return resp, nil
	case isUnsent(err):
		t.client.report.RequestUnsent(dialAddress(req.Context()), remedyOf(err))
		return nil, err
	case isOwnFailure(err) && !errors.Is(err, context.Canceled):
		t.client.report.HealthCheckUnsent(err)
		return t.health.passResponse(req), nil
	default:
		return nil, err
	}
}

// sendBareHealthCheck sends a health check without a token.
func (t *Transport) sendBareHealthCheck(out *http.Request) (*http.Response, error) {
	target := *out.URL
	out.URL = &target
	t.SetScheme(out)
	resp, err := t.base.RoundTrip(out)
	if err != nil || resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return resp, err
	}
	_ = resp.Body.Close() // Only the status matters.
	t.client.report.HealthCheckRefused(resp.StatusCode)
	return t.health.passResponse(out), nil
}

// isUnsent reports whether a fault in the configuration, other than in the
// credentials, kept a request from being sent.
func isUnsent(err error) bool {
	_, ok := errors.AsType[transport.UnsentError](err)
	return ok
}

// provisionHealth checks the health checks of a reverse_proxy.
func (t *Transport) provisionHealth(checks *reverseproxy.HealthChecks) error {
	if checks == nil || checks.Active == nil {
		return nil
	}
	if t.health.account != (tokensource.Account{}) {
		if upstream := checks.Active.Upstream; upstream != "" {
			if err := t.checkUpstream(upstream); err != nil {
				return fmt.Errorf("health_upstream: %w", err)
			}
		}
		for name, values := range checks.Active.Headers {
			if err := t.checkHostHeader("health_headers", name, values, nil); err != nil {
				return err
			}
		}
	}
	t.health.configure(checks.Active)
	return nil
}

// dropField removes a header field of a request. The request must be a copy,
// but its header may be shared.
func dropField(out *http.Request, field string) {
	if _, ok := out.Header[field]; ok {
		out.Header = out.Header.Clone()
		delete(out.Header, field)
	}
}

// isClientRequest reports whether a request comes from a client of this server.
// Caddy adds variables to the context of each such request.
func isClientRequest(req *http.Request) bool { return req.Context().Value(caddyhttp.VarsCtxKey) != nil }
