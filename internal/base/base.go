// Package base has the connections that requests go out on: to the token
// endpoint as well as to the resource endpoints.
package base

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// New returns a new transport for one busy host. It differs from
// [http.DefaultTransport] in two respects.
//
// It keeps up to 256 idle connections per host, for 90 seconds. With the two of
// http.DefaultTransport, 32 workers open a new TLS connection for more than
// every second request.
//
// It checks HTTP/2 connections by pings. A connection that has been silent for
// 3 seconds and does not answer a ping within 2 more is closed, and requests go
// out on a new one. Without pings, a connection that a firewall or a NAT has
// dropped silently swallows every request until TCP gives up, after minutes.
func New() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		HTTP2:                 pings(),
		MaxIdleConns:          512,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		// No ClientSessionCache: where a session is resumed, the server goes on
		// seeing the client certificate of the first handshake.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

func pings() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 2 * time.Second}
}
