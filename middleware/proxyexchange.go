// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"io"
	"net/http"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// A proxyExchange is one request and its response in a proxy. It is the
// ResponseWriter of the ReverseProxy. The functions of a ReverseProxy cannot
// keep state for a request otherwise: forwardError finds the exchange by its
// ResponseWriter.
type proxyExchange struct {
	*proxy
	http.ResponseWriter // the client's

	headPassed bool        // the head of the response was passed on
	bodyPassed bool        // the whole response was passed on
	switched   io.Closer   // the upgraded connection to the platform
	hijacked   hijackState // the state of the client's connection
}

// A hijackState says whether the client's connection was hijacked.
type hijackState int

const (
	hijackUntried hijackState = iota
	hijackFailed
	hijackDone
)

// serve forwards an admitted request, and answers it.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	x := &proxyExchange{proxy: p, ResponseWriter: w}
	if _, asked := r.Header["Upgrade"]; asked {
		x.serveUpgrade(r)
		return
	}
	defer x.finish()
	p.forward.ServeHTTP(x, r)
	x.bodyPassed = true
}

// serveUpgrade serves a request to switch protocols. It uses a copy of the
// ReverseProxy whose ModifyResponse knows the exchange.
func (x *proxyExchange) serveUpgrade(r *http.Request) {
	if !hijackable(x.ResponseWriter) {
		x.answerError(x.ResponseWriter, r, &upgradeError{x.ResponseWriter})
		return
	}
	forward := x.forward
	forward.ModifyResponse = x.checkUpgrade
	defer x.finish()
	forward.ServeHTTP(upgradeWriter{x}, r)
	x.bodyPassed = true
}

// exchange returns x. An upgradeWriter, which embeds x, has this method too.
func (x *proxyExchange) exchange() *proxyExchange { return x }

// WriteHeader writes an informational response directly to the server's own
// ResponseWriter. The wrappers of echo and http.TimeoutHandler would take it
// for the final response and drop the status that follows, so that a refusal
// would become a 200. If a wrapper hides the server's own ResponseWriter,
// WriteHeader drops the informational response.
func (x *proxyExchange) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		x.headPassed = status >= http.StatusOK
		x.ResponseWriter.WriteHeader(status)
		return
	}
	server := unwrapped(x.ResponseWriter)
	if _, ok := server.(interface {
		SetWriteDeadline(deadline time.Time) error
	}); ok {
		server.WriteHeader(status)
	}
}

// FlushError is for [http.ResponseController]. The Flush of some frameworks
// panics if the ResponseWriter below cannot be flushed, as in
// http.TimeoutHandler. The response can go on without a flush. A ReverseProxy
// also flushes on a goroutine of its own, where a panic would end the program.
func (x *proxyExchange) FlushError() (err error) {
	defer func() {
		if recover() != nil {
			err = http.ErrNotSupported
		}
	}()
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// Unwrap is for [http.ResponseController].
func (x *proxyExchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// checkResponse passes a response on, unless it is a 401 that was caused by the
// proxy's own token, or switches protocols for a client that did not ask.
func (p *proxy) checkResponse(resp *http.Response) error {
	if verdict, ok := transport.VerdictOf(resp); ok && verdict == transport.TokenRefused {
		return ErrTokenRefused
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return upstreamInvalid
	}
	p.failures.requestPassed(resp.Request.Context())
	return nil
}

// checkUpgrade is checkResponse for a client that asked to switch protocols.
func (x *proxyExchange) checkUpgrade(resp *http.Response) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return x.checkResponse(resp)
	}
	x.switched = resp.Body
	x.failures.requestPassed(resp.Request.Context())
	return nil
}

// forwardError answers a request whose forwarding failed. It also closes an
// upgraded connection to the platform: the ReverseProxy leaves it open if the
// client's connection cannot be upgraded.
func forwardError(w http.ResponseWriter, r *http.Request, err error) {
	x := w.(interface{ exchange() *proxyExchange }).exchange()
	if x.switched != nil {
		_ = x.switched.Close()
		switch x.hijacked {
		case hijackDone:
			return // The client has gone, and its connection is hijacked.
		case hijackFailed:
			err = &upgradeError{x.ResponseWriter}
		case hijackUntried:
			err = upstreamInvalid
		}
	}
	x.answerError(x.ResponseWriter, r, err)
}

// finish ensures that a response that breaks off does not look complete, even
// if a handler in front recovers the panic of the ReverseProxy.
func (x *proxyExchange) finish() {
	if x.bodyPassed {
		return
	}
	if x.switched != nil {
		_ = x.switched.Close()
	}
	if x.headPassed {
		breakOff(x.ResponseWriter)
	}
}
