package main

import (
	"fmt"
	"net/http"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// newProxy returns the proxy: whoever logs in reaches the platform as the
// account that is theirs.
func newProxy(pismo *platform.Platform, login *login, events events) (http.Handler, error) {
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer, Hooks: events.source})
	if err != nil {
		return nil, err
	}
	authenticated, err := transport.New(transport.Config{
		Source: source,
		Hosts:  []string{pismo.URL.Host},
		Hooks:  events.transport,
	})
	if err != nil {
		return nil, err
	}
	account, err := middleware.FromJWT(login.verification())
	if err != nil {
		return nil, err
	}
	proxy, err := middleware.NewProxy(middleware.ProxyConfig{
		Target:    pismo.URL,
		Transport: authenticated,
		Account:   account,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.Handle("POST /login/{user}", login)
	if pismo.Double != nil {
		mux.HandleFunc("POST /double/revoke", func(w http.ResponseWriter, _ *http.Request) {
			pismo.Double.RevokeAll()
			_, _ = fmt.Fprintln(w, "every token is revoked")
		})
	}
	return mux, nil
}
