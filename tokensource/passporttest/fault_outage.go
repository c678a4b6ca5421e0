// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The faults of this file answer without a token, or do not answer.

// Status answers with a status and a message, as Passport does. A 500 has the
// message that Pismo documents.
func Status(code int) Fault {
	text := http.StatusText(code)
	if code == http.StatusInternalServerError {
		text = "Error authenticating server"
	}
	return Fault{name: fmt.Sprintf("status %d", code), serve: func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tokenRequest) {
		writeJSON(w, code, message{text})
	}}
}

// RateLimited answers 429. Retry-After is retryAfter in whole seconds, rounded
// up. With 0 the answer has no Retry-After.
func RateLimited(retryAfter time.Duration) Fault {
	return Fault{name: "rate limited", serve: func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tokenRequest) {
		if retryAfter > 0 {
			seconds := (retryAfter + time.Second - 1) / time.Second
			w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		}
		writeJSON(w, http.StatusTooManyRequests, message{"Too many requests"})
	}}
}

// HTML answers with an HTML page, as the firewall in front of Pismo does. The
// answer has no x-cid.
func HTML(status int) Fault {
	return Fault{name: fmt.Sprintf("page %d", status), serve: func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tokenRequest) {
		w.Header().Del("X-Cid")
		w.Header().Set("Server", "cloudflare")
		page := fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%d %s</title></head><body><h1>Sorry, you have been blocked</h1></body></html>\n",
			status, http.StatusText(status))
		write(w, status, "text/html; charset=UTF-8", []byte(page))
	}}
}

// Body answers with the given status, Content-Type and body.
func Body(status int, contentType, body string) Fault {
	return Fault{name: fmt.Sprintf("body %d", status), serve: func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tokenRequest) {
		write(w, status, contentType, []byte(body))
	}}
}

// Redirect307 redirects the client to url. A client that follows the redirect
// posts the secret there.
func Redirect307(url string) Fault {
	return Fault{name: "redirect", serve: func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tokenRequest) {
		w.Header().Set("Location", url)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}}
}

// Reset resets the connection. With HTTP/2 it resets the stream.
func Reset() Fault {
	return Fault{name: "reset", serve: func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tokenRequest) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			abort()
		}
		if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
			conn = secure.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // Close sends RST instead of FIN.
		}
		_ = conn.Close()
	}}
}

// Hang does not answer. It ends when the client leaves or the Server is closed.
func Hang() Fault {
	return Fault{name: "hang", serve: func(_ *Server, _ http.ResponseWriter, r *http.Request, _ tokenRequest) {
		<-r.Context().Done()
		abort()
	}}
}
