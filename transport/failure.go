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

// isUnsent reports whether nothing of the request can have been executed:
//
//   - the server says that it did not process the request, or
//   - the base has asked for a connection and never got one, or
//   - the base does not show its connections, and its error is that of dialing.
//     That does not count if the error can be that of a second try of the base's
//     own, or of a body that is fetched from elsewhere.
//
// If the base has joined several errors, it may have tried several hosts. Each
// has to be an error of dialing then.
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

// sentAgainByBase reports whether a base that is net/http, and does not show it,
// may have sent the request a second time.
func (x *exchange) sentAgainByBase() bool {
	for name := range x.req.Header {
		if isIdempotencyKey(name) {
			return x.body.empty
		}
	}
	return x.body.empty && x.req.Method == http.MethodTrace
}

// isDialError reports whether an error is that of making a connection. If errors
// were joined, each of them has to be.
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

// isJoined reports whether an error wraps several.
func isJoined(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 1 {
			return true
		}
	}
	return false
}

// isFinal reports whether trying again cannot help: this package or the Source
// has refused, or the server is not the one that it should be.
func isFinal(err error) bool {
	var token *tokensource.Error
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &token) || errors.As(err, &certificate) || tokensource.IsPermanent(err)
}

// isConnectionError reports whether an error is one of a connection, and may be gone
// with the next one. The error of a circuit breaker, or of anything else that
// stands before the network, is not.
func isConnectionError(err error) bool {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // link by link
		case *url.Error: // It says Timeout and Temporary of any error.
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
// connection. Those errors have no type. A proxy that refuses to connect shows as
// the text of its status, and nothing else.
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
