// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// isUnsent reports whether the request certainly was not executed. This is so
// in three cases:
//
//   - The server says that it did not process the request.
//   - The base requested a connection and never obtained one.
//   - The base does not report its connections, and the error is a dial error.
//     This case excludes a request that the base may have sent twice by itself,
//     and a request whose body is fetched from elsewhere: the dial error may
//     come from there.
//
// If the base has joined several errors, it may have tried several hosts. Then
// each of the errors must be a dial error.
func (x *exchange) isUnsent(err error) bool {
	switch {
	case isUnprocessed(err):
		return true
	case x.connection.wasObtained():
		return false
	case x.connection.neverObtained():
		return isDialError(err) || !isJoined(err)
	}
	return isDialError(err) && !mayFail(x.req) && !x.sentAgainByBase()
}

// sentAgainByBase reports whether a base that is net/http, but does not report
// its connections, may have sent the request twice.
func (x *exchange) sentAgainByBase() bool {
	for name := range x.req.Header {
		if isIdempotencyKey(name) {
			return x.body.empty
		}
	}
	return x.body.empty && x.req.Method == http.MethodTrace
}

// isDialError reports whether an error comes from making a connection. Of
// joined errors, each must be a dial error.
func isDialError(err error) bool {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // link by link
		case *net.OpError:
			switch e.Op {
			case "dial", "proxyconnect", "socks connect":
				return true
			}
			return false
		case interface{ Unwrap() []error }:
			joined := e.Unwrap()
			for _, branch := range joined {
				if !isDialError(branch) {
					return false
				}
			}
			return len(joined) > 0
		}
		err = errors.Unwrap(err)
	}
	return false
}

// isJoined reports whether an error wraps several errors.
func isJoined(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 1 {
			return true
		}
	}
	return false
}

// isFinal reports whether a retry cannot help: this package or the Source
// refused the request, or the server's certificate is wrong.
func isFinal(err error) bool {
	var token *tokensource.Error
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &token) || errors.As(err, &certificate) || tokensource.IsPermanent(err)
}

// isConnectionError reports whether an error is that of a connection, so that a
// new connection may help. The error of a circuit breaker, or of another layer
// in front of the network, is not.
func isConnectionError(err error) bool {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // link by link
		case *url.Error: // It is a net.Error whatever its cause.
			err = e.Err
			continue
		case net.Error:
			return true
		case interface{ Unwrap() []error }:
			return slices.ContainsFunc(e.Unwrap(), isConnectionError)
		}
		switch err { //nolint:errorlint // link by link
		case io.EOF, io.ErrUnexpectedEOF, net.ErrClosed:
			return true
		}
		if isHTTPText(err.Error()) {
			return true
		}
		err = errors.Unwrap(err)
	}
	return false
}

// isHTTPText reports whether a text is that of an error of net/http about its
// connection. Those errors have no type. If a proxy refuses to connect, the
// text is the text of the proxy's status.
func isHTTPText(text string) bool {
	switch text {
	case "http: server closed idle connection", "http: persistConn.readLoop exiting",
		"http: idle connection timeout", "http: CloseIdleConnections called",
		http.StatusText(http.StatusBadGateway), http.StatusText(http.StatusServiceUnavailable), http.StatusText(http.StatusGatewayTimeout):
		return true
	}
	for _, prefix := range []string{
		"net/http: HTTP/1.x transport connection broken", "http2: Transport", "http2: client conn", "http2: server sent GOAWAY",
		"http2: timeout awaiting response headers", "stream error: stream ID ", "connection error: ",
	} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
