package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"reflect"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// A proxyExchange is one request on its way through a proxy: what the ReverseProxy
// writes to. Its functions find it by that, as they are told nothing else that is
// of one request.
type proxyExchange struct {
	*proxy
	http.ResponseWriter // the client's

	headPassed bool        // the head of the response was passed on
	bodyPassed bool        // and so was all the rest
	switched   io.Closer   // the platform's end of a connection that it has upgraded
	hijacked   hijackState // of the client's end of it
}

// A hijackState says how far the taking over of a client's connection came.
type hijackState int

const (
	hijackUntried hijackState = iota
	hijackFailed
	hijackDone
)

// serve forwards a request that was let in, and answers it.
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

// serveUpgrade serves a request to switch protocols.
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

// exchange returns x, for whoever has a ResponseWriter that embeds it.
func (x *proxyExchange) exchange() *proxyExchange { return x }

// WriteHeader passes an informational response on to the server's own
// ResponseWriter, past everything that would take it for the response: echo and
// http.TimeoutHandler drop the status that follows, and a refusal would be a 200.
// Where the server's own cannot be reached, it is left out.
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

// FlushError is for [http.ResponseController]. The Flush of some frameworks panics
// where nothing beneath can be flushed, as in http.TimeoutHandler. That is not the
// end of the response; and a ReverseProxy flushes on a goroutine of its own, too,
// where a panic would end the program.
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

// checkResponse decides whether a response is passed on: not a 401 that speaks of our
// token, nor a switch of protocols that nobody has asked for.
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

// checkUpgrade is checkResponse where somebody has asked for another protocol.
func (x *proxyExchange) checkUpgrade(resp *http.Response) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return x.checkResponse(resp)
	}
	x.switched = resp.Body
	x.failures.requestPassed(resp.Request.Context())
	return nil
}

// forwardError answers a request that was not, or not successfully, forwarded. The
// ReverseProxy leaves open a connection that the platform has upgraded, if the
// client's cannot be.
func forwardError(w http.ResponseWriter, r *http.Request, err error) {
	x := w.(interface{ exchange() *proxyExchange }).exchange()
	if x.switched != nil {
		_ = x.switched.Close() // Nobody will use it.
		switch x.hijacked {
		case hijackDone:
			return // The client has left as its connection was handed over; nothing can be written to it.
		case hijackFailed:
			err = &upgradeError{x.ResponseWriter}
		case hijackUntried:
			err = upstreamInvalid
		}
	}
	x.answerError(x.ResponseWriter, r, err)
}

// finish sees to it that a response which breaks off does not look whole, even if
// the panic of the ReverseProxy is recovered before the server learns of it.
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

// breakOff has no more of a response be written. Where that cannot be done, the
// panic of the ReverseProxy has to do.
func breakOff(w http.ResponseWriter) {
	for w != nil && http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) != nil {
		w = embedded(unwrapped(w))
	}
}

// hijackable reports whether a connection can be had of a ResponseWriter. The
// innermost one decides: some wrappers have a Hijack that panics or that leaves
// them unable to answer if there is none beneath.
func hijackable(w http.ResponseWriter) bool {
	_, ok := unwrapped(w).(http.Hijacker)
	return ok
}

// unwrapped returns the ResponseWriter that Unwrap leads to.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// embedded returns the ResponseWriter that a struct embeds, or nil. Many wrappers
// have no Unwrap: a gin.ResponseWriter, which those of programs on gin embed, does
// not promise one.
func embedded(w http.ResponseWriter) http.ResponseWriter {
	wrapper := reflect.Indirect(reflect.ValueOf(w))
	if wrapper.Kind() != reflect.Struct {
		return nil
	}
	field, ok := wrapper.Type().FieldByName("ResponseWriter")
	if !ok || !field.Anonymous || len(field.Index) > 1 {
		return nil
	}
	inner, _ := reflect.TypeAssert[http.ResponseWriter](wrapper.FieldByIndex(field.Index))
	return inner
}

// An upgradeWriter is the ResponseWriter of a request to switch protocols. It
// notes what becomes of it.
type upgradeWriter struct{ *proxyExchange }

// Hijack implements [http.Hijacker].
func (u upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	u.hijacked = hijackFailed
	conn, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err == nil {
		u.hijacked = hijackDone
	}
	return conn, buffered, err
}
