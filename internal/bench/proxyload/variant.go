// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/internal/bench/bareproxy"
	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

// A variant is a kind of proxy, as the table names it.
type variant string

const (
	bareProxy    variant = "bare `ReverseProxy`, static header"
	pooledProxy  variant = "the same with a `BufferPool`"
	fixedAccount variant = "`middleware.NewProxy`, `FixedAccount`"
	fromJWT      variant = "`middleware.NewProxy`, `FromJWT` (HS256), for information"

	caddyStatic variant = "Caddy, `reverse_proxy`, static `header_up`"
	caddyPismo  variant = "Caddy, `pismo_proxy`"
)

// A comparison has the variants to compare. The subject has to meet the
// targets.
type comparison struct {
	variants []variant
	subject  variant
	targets  []target
}

// A target is the maximum ratio of the subject's processor time per request to
// that of another variant.
type target struct {
	name string // of the other variant, in the head of the table
	to   variant
	must float64
}

// library compares the library's proxy, caddy the plugin.
var (
	library = comparison{
		variants: []variant{bareProxy, pooledProxy, fixedAccount, fromJWT},
		subject:  fixedAccount,
		targets:  []target{{"bare", bareProxy, 0.9}, {"bare with `BufferPool`", pooledProxy, 1.1}},
	}
	caddy = comparison{
		variants: []variant{caddyStatic, caddyPismo},
		subject:  caddyPismo,
		targets:  []target{{"`reverse_proxy`", caddyStatic, 1.15}},
	}
)

// handler returns the proxy of a variant of the library's comparison. All
// proxies have an equal connection pool, and a token of the same platform. The
// bare proxies never renew their token.
func (v variant) handler(p platform) (http.Handler, error) {
	target, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	source, err := tokensource.New(tokensource.Config{Issuer: &passport.S2S{
		BaseURL:     p.URL,
		Credentials: passport.StaticCredentials(p.ServerKey, p.ServerSecret),
	}})
	if err != nil {
		return nil, err
	}
	acct, err := tokensource.ParseAccountID(account)
	if err != nil {
		return nil, err
	}
	switch v {
	case fixedAccount:
		return authenticated(target, source, middleware.FixedAccount(acct))
	case fromJWT:
		find, err := middleware.FromJWT(verification)
		if err != nil {
			return nil, err
		}
		return authenticated(target, source, find)
	}
	token, err := source.Token(context.Background(), acct)
	if err != nil {
		return nil, err
	}
	proxy := bareproxy.New(target, transport.NewBase(), "Bearer "+token.Reveal()) // The same base as on the other side.
	if v == pooledProxy {
		proxy.BufferPool = new(bareproxy.Buffers)
	}
	return proxy, nil
}

// authenticated returns a proxy of package middleware.
func authenticated(target *url.URL, source *tokensource.Source, find middleware.AccountFunc) (http.Handler, error) {
	rt, err := transport.New(transport.Config{Source: source, Hosts: []string{target.Host}})
	if err != nil {
		return nil, err
	}
	return middleware.NewProxy(middleware.ProxyConfig{Target: target, Transport: rt, Account: find})
}

// verification is the configuration for inbound JWTs.
var verification = middleware.JWTConfig{
	Algorithms: []string{jwt.SigningMethodHS256.Alg()},
	Key:        func(*jwt.Token) (any, error) { return jwtKey, nil },
	Issuer:     "proxyload",
	Audience:   "proxyload",
	Claim:      "account",
}

var jwtKey = []byte("no secret: it signs for the duration of a measurement")

// inboundJWT returns the JWT of the clients of fromJWT.
func inboundJWT() (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss":              verification.Issuer,
		"aud":              verification.Audience,
		"sub":              "alice",
		"iat":              now.Unix(),
		"exp":              now.Add(time.Hour).Unix(),
		verification.Claim: account,
	}).SignedString(jwtKey)
}
