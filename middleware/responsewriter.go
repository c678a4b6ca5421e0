// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"bufio"
	"net"
	"net/http"
	"reflect"
	"time"
)

// breakOff prevents that more of a response is written. If no ResponseWriter
// supports that, only the panic of the ReverseProxy ends the response.
func breakOff(w http.ResponseWriter) {
	for w != nil && http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) != nil {
		w = embedded(unwrapped(w))
	}
}

// hijackable reports whether the client's connection can be hijacked. It asks
// the innermost ResponseWriter: if that has no Hijack, the Hijack of some
// wrappers panics, or leaves the wrapper unable to answer.
func hijackable(w http.ResponseWriter) bool {
	_, ok := unwrapped(w).(http.Hijacker)
	return ok
}

// unwrapped returns the innermost ResponseWriter that Unwrap leads to.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// embedded returns the ResponseWriter that a struct embeds, or nil. Many
// wrappers have no Unwrap. For example, wrappers in programs on gin embed a
// gin.ResponseWriter, an interface without Unwrap.
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
// records whether the client's connection was hijacked.
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
