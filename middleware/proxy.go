// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"log"
	"net/http"
	"net/http/httputil"
)

// NewProxy returns a reverse proxy to the platform. For each request it finds
// the account and gets a token. It forwards the request with that token, and
// without the client's own Authorization. Responses are streamed. Protocol
// upgrades, trailers and informational responses pass. TRACE and CONNECT do not
// pass; see [ErrMethodNotProxied]. NewProxy reports every fault of the
// configuration.
//
// The client chooses a path below the path of the target, and no other part of
// the target. A request whose target could be read as another path is answered
// 400; see [ErrInvalidTarget]. The proxy sets X-Forwarded-For, -Host and -Proto
// from the connection and the request. It drops the client's own X-Forwarded
// fields, Forwarded, X-Original-URL and X-Rewrite-URL, also with underscores
// for hyphens. It also drops X-HTTP-Method, X-HTTP-Method-Override and
// X-Method-Override. It ignores an Upgrade to HTTP or TLS, which would be a
// tunnel.
//
// The platform's answers pass unchanged, including a 401 or 403 that answers
// the request itself. Only a 401 that was caused by the proxy's token, and that
// neither a renewal nor a replay could resolve, becomes a 502; see
// [ErrTokenRefused].
//
// The proxy sets no deadline. If the deadline of the request's context passes,
// the answer is 504. The same holds for a ResponseHeaderTimeout of the
// transport's base.
//
// To abort a request, the proxy panics with http.ErrAbortHandler, as
// httputil.ReverseProxy does. If a handler in front recovers the panic, as
// gin.Recovery does, the client gets the status 503, or a connection that
// closes in the middle of a response. It never gets a response that looks
// complete. An upgrade needs a ResponseWriter that can be hijacked. Without it,
// as in http.TimeoutHandler, the answer is 501. If a wrapper hides the server's
// own ResponseWriter, the proxy drops informational responses.
//
// The proxy is an [http.Handler] for any router. With net/http, mount it behind
// a pattern with a wildcard. With chi, write r.Mount("/", proxy); with
// gorilla/mux, r.PathPrefix("/").Handler(proxy). If the router does not put the
// account into the request's path values, as gorilla/mux does not, use an
// [AccountFunc] of your own: mux.Vars(r)["accountID"] is one line.
func NewProxy(config ProxyConfig) (http.Handler, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	m, err := New(Config{
		Source:       config.Transport.Source(),
		Account:      config.Account,
		ErrorHandler: config.ErrorHandler,
		Logger:       config.Logger,
	})
	if err != nil {
		return nil, err
	}
	if config.ErrorLog == nil {
		config.ErrorLog = log.New(m.failures, "", 0)
	}
	p := &proxy{Middleware: m}
	p.forward = httputil.ReverseProxy{
		Transport:      config.Transport,
		BufferPool:     new(bufferPool),
		ErrorLog:       config.ErrorLog,
		ModifyResponse: p.checkResponse,
		ErrorHandler:   forwardError,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(config.Target)
			r.Out.URL.User = nil // The client's target may have user information.
			dropForwardingFields(r.Out)
			r.SetXForwarded()
			passTrailer(r)
			if config.Rewrite != nil {
				config.Rewrite(r)
			}
		},
	}
	return p, nil
}

// A proxy is the reverse proxy that NewProxy returns.
type proxy struct {
	*Middleware
	forward httputil.ReverseProxy
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		p.answerError(w, r, ErrMethodNotProxied)
		return
	}
	out, _, err := p.Admit(r)
	if err != nil {
		p.answerError(w, r, err)
		return
	}
	dropOptions(out.Header, "Upgrade", opensTunnel)
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &inboundBody{ReadCloser: out.Body, left: out.ContentLength, trailer: r.Trailer}
	}
	p.serve(w, out)
}
