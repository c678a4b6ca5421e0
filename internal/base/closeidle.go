// SPDX-License-Identifier: Apache-2.0

package base

import (
	"net/http"
	"time"
)

// settleTime is the time after the end of a request within which its connection
// becomes idle. It is not idle at once: another goroutine removes a canceled
// HTTP/2 stream.
const settleTime = 100 * time.Millisecond

// An idler can close its idle connections, as an http.Transport can.
type idler interface{ CloseIdleConnections() }

// CloseIdle closes the idle connections of rt, if rt has a method
// CloseIdleConnections.
func CloseIdle(rt http.RoundTripper) {
	if i, ok := rt.(idler); ok {
		i.CloseIdleConnections()
	}
}

// CloseIdleSoon closes the idle connections of rt like [CloseIdle]. It does so
// again after a moment, for the connections of requests that have just ended.
func CloseIdleSoon(rt http.RoundTripper) {
	if i, ok := rt.(idler); ok {
		i.CloseIdleConnections()
		time.AfterFunc(settleTime, i.CloseIdleConnections)
	}
}
