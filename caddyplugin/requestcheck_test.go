// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestEarlyData_UnfinishedHandshakeCounts(t *testing.T) {
	unfinished, finished := &tls.ConnectionState{}, &tls.ConnectionState{HandshakeComplete: true}
	for _, test := range []struct {
		method string
		state  *tls.ConnectionState
		want   bool
	}{
		{http.MethodPost, unfinished, true},
		{http.MethodPost, finished, false},
		{http.MethodPost, nil, false},
		{http.MethodGet, unfinished, false},
	} {
		r := &http.Request{Method: test.method, Header: http.Header{}, TLS: test.state}
		if got := isUnsafeEarlyData(r); got != test.want {
			t.Errorf("%s with %+v: got %v, want %v", test.method, test.state, got, test.want)
		}
	}
}
