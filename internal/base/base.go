// SPDX-License-Identifier: Apache-2.0

// Package base has the connections for requests to the token endpoint and to
// the resource endpoints.
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
// It keeps up to 256 idle connections per host, for 90 seconds.
// http.DefaultTransport keeps two: 32 workers then open a new TLS connection
// for more than half of the requests.
//
// It checks HTTP/2 connections by pings. After 3 seconds of silence it sends a
// ping. If the answer does not come within 2 seconds, it closes the connection,
// and requests use a new connection. Without pings, a connection that a
// firewall or a NAT has dropped would lose all requests until TCP gives up,
// after minutes.
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
		// No ClientSessionCache: in a resumed session, the server still sees the
		// client certificate of the first handshake.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

func pings() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 2 * time.Second}
}

// Clone returns a copy of t with its own connections. If t has no limit for
// idle connections, the copy has a limit of 90 seconds: possibly no one else
// closes them.
func Clone(t *http.Transport) *http.Transport {
	clone := t.Clone()
	if clone.IdleConnTimeout == 0 {
		clone.IdleConnTimeout = 90 * time.Second
	}
	if clone.TLSNextProto["h2"] != nil {
		// An HTTP/2 transport of golang.org/x/net/http2 that was added to t has
		// a pool, which the clone would share.
		clone.TLSNextProto, clone.ForceAttemptHTTP2 = nil, true
		if clone.HTTP2 == nil {
			clone.HTTP2 = pings()
		}
	}
	if config := clone.TLSClientConfig; config != nil {
		for _, protocol := range config.NextProtos {
			// A transport without a TLSClientConfig has enabled HTTP/2 by itself,
			// and has then added "h2" to a new TLSClientConfig.
			clone.ForceAttemptHTTP2 = clone.ForceAttemptHTTP2 || protocol == "h2"
		}
		if config.ClientSessionCache != nil {
			// In a resumed session, the server still sees the client
			// certificate of the first handshake.
			config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		}
	}
	return clone
}
