// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A Transport with its own account conflicts with the accounts of requests.
// Requests for other accounts would be answered 500.
func TestNewProxy_RefusesTransportWithAccount(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	for _, account := range []tokensource.Account{acct(t, alice), acct(t, bob), tokensource.Organization()} {
		_, err := middleware.NewProxy(middleware.ProxyConfig{
			Target:    p.target,
			Transport: newTransport(t, transport.Config{Source: p.source, Hosts: []string{p.Host()}, Account: account, Base: p.base}),
			Account:   middleware.FixedAccount(acct(t, alice)),
		})
		check(t, "faults in", strings.Join(faultyFields(t, err), ", "), "ProxyConfig.Transport")
	}
}

// A target without a host leads nowhere. A target whose path has no leading
// slash, as url.URL.JoinPath can leave it, makes an invalid request line.
func TestNewProxy_ValidatesTarget(t *testing.T) {
	seen := make(chan string, 1)
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI })
	_, err := middleware.NewProxy(middleware.ProxyConfig{
		Target: &url.URL{Scheme: "http", Host: p.Host(), Opaque: "//evil.example"}, Transport: p.transport, Account: middleware.FixedAccount(acct(t, alice)),
	})
	check(t, "faults in", strings.Join(faultyFields(t, err), ", "), "ProxyConfig.Target")

	for _, path := range []string{"v1", "/v1", "v1/", "/v1/"} {
		target := &url.URL{Scheme: "http", Host: p.Host(), Path: path}
		s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Target = target }))
		target.Path = "/changed" // This change has no effect.
		check(t, "status", s.get(t, "/a%2Fb").status, http.StatusOK)
		check(t, "target", await(t, seen), "/v1/a%2Fb")
	}
}
