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

// A proxyExchange is one request on its way through a proxy. A ReverseProxy tells
// its functions nothing that would let them keep state for a request, and so
// each exchange has its own. It is what the ReverseProxy writes to.
type proxyExchange struct {
	*Middleware
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
	x := &proxyExchange{Middleware: p.Middleware, ResponseWriter: w}
	forward := p.forward
	forward.ModifyResponse, forward.ErrorHandler = x.checkResponse, x.forwardError
	if _, asked := r.Header["Upgrade"]; asked {
		if !hijackable(w) {
			p.answerError(w, r, &upgradeError{w})
			return
		}
		w = upgradeWriter{x}
	} else {
		w = x
	}
	defer x.finish()
	forward.ServeHTTP(w, r)
	x.bodyPassed = true
}

// WriteHeader passes an informational response on to the server's own
// ResponseWriter, past everything that would take it for the response: echo and
// http.TimeoutHandler drop the status that follows, and a refusal would be a 200.
// Where the server's own cannot be reached, it is left out.
func (x *proxyExchange) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
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
// token.
func (x *proxyExchange) checkResponse(resp *http.Response) error {
	if verdict, ok := transport.VerdictOf(resp); ok && verdict == transport.TokenRefused {
		return ErrTokenRefused
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.switched = resp.Body
	} else {
		x.headPassed = true
	}
	x.failures.requestPassed(resp.Request.Context())
	return nil
}

// forwardError answers a request that was not, or not successfully, forwarded. The
// ReverseProxy leaves open a connection that the platform has upgraded, if the
// client's cannot be.
func (x *proxyExchange) forwardError(_ http.ResponseWriter, r *http.Request, err error) {
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
