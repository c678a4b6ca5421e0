package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

// A variant is a kind of proxy, as the table names it.
type variant string

const (
	bare    variant = "bare `ReverseProxy`, static header"
	pooled  variant = "the same with a `BufferPool`"
	fixed   variant = "`middleware.NewProxy`, `FixedAccount`"
	fromJWT variant = "`middleware.NewProxy`, `FromJWT` (HS256), for information"

	caddyStatic variant = "Caddy, `reverse_proxy`, static `header_up`"
	caddyPismo  variant = "Caddy, `pismo_proxy`"
)

// A comparison is of variants that are measured beside each other. The subject is
// the one that has to meet the targets.
type comparison struct {
	variants []variant
	subject  variant
	targets  []aim
}

// An aim is what the processor time per request of the subject must be at most,
// as a ratio to that of another variant.
type aim struct {
	name string // of the other one, in the head of a table
	to   variant
	must float64
}

// library compares the library's proxy, caddy the plugin.
var (
	library = comparison{
		variants: []variant{bare, pooled, fixed, fromJWT},
		subject:  fixed,
		targets:  []aim{{"bare", bare, 0.9}, {"bare with `BufferPool`", pooled, 1.1}},
	}
	caddy = comparison{
		variants: []variant{caddyStatic, caddyPismo},
		subject:  caddyPismo,
		targets:  []aim{{"`reverse_proxy`", caddyStatic, 1.15}},
	}
)

// handler returns the proxy, if it is one of the library's comparison. All have an equal pool of connections, and a token
// of the same platform: the bare ones have theirs for good.
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
	case fixed:
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
	proxy := static(target, "Bearer "+token.Reveal())
	if v == pooled {
		proxy.BufferPool = new(buffers)
	}
	return proxy, nil
}

// authenticated returns a proxy of ours.
func authenticated(target *url.URL, source *tokensource.Source, find middleware.AccountFunc) (http.Handler, error) {
	rt, err := transport.New(transport.Config{Source: source, Hosts: []string{target.Host}})
	if err != nil {
		return nil, err
	}
	return middleware.NewProxy(middleware.ProxyConfig{Target: target, Transport: rt, Account: find})
}

// static returns the proxy that people write without us, where it does the same
// as ours but for the token.
func static(target *url.URL, authorization string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: transport.NewBase(), // As ours has.
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Header.Set("Authorization", authorization)
		},
	}
}

// buffers are a BufferPool as it should be: of pointers, which sync.Pool keeps
// without allocating, and of the size that ReverseProxy would make.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }

// verification says how inbound JWTs are verified.
var verification = middleware.JWTConfig{
	Algorithms: []string{jwt.SigningMethodHS256.Alg()},
	Key:        func(*jwt.Token) (any, error) { return jwtKey, nil },
	Issuer:     "proxyload",
	Audience:   "proxyload",
	Claim:      "account",
}

var jwtKey = []byte("no secret: it signs for the duration of a measurement")

// inboundJWT returns what the clients of fromJWT authenticate with.
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
