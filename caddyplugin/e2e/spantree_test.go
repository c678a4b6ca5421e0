// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
)

// The client's span, and its trace.
const (
	inboundTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	inboundSpan  = "00f067aa0ba902b7"
)

// wantTrace is the expected trace below the client's span. The first request
// needs a token. The token of the second request is refused, which causes a
// renewal and a replay.
const wantTrace = `inbound
  pismo.token.issue cold
    HTTP POST
  HTTP GET
inbound
  HTTP GET
  pismo.token.renew replayed
    pismo.token.issue refused
      HTTP POST
  HTTP GET 1
`

// runTraced sends two requests of a client's trace through a server with the
// directive tracing, to the platform at a URL. The platform refuses the token
// of the second request. The environment says where the server exports its
// spans.
func runTraced(t *testing.T, p fakePlatform, url string, env []string) {
	t.Helper()
	address := freeport.Address(t)
	start(t, serverConfig{
		global: strings.ReplaceAll(p.client(), p.URL(), url),
		sites:  site(address, block("tracing", "span inbound"), pismoProxy(strings.TrimPrefix(url, "http://"))),
		env:    append(p.env(), env...),
	})
	to := newClient(t, address, 1)
	traceparent := "00-" + inboundTrace + "-" + inboundSpan + "-01"
	for range 2 {
		check(t, "status", to.get(t, "/v1/accounts/"+alice, "Traceparent", traceparent).status, http.StatusOK)
		p.Revoke(alice)
	}
}

// An exportedSpan is a span that a backend has received.
type exportedSpan struct {
	id, parent, name string
	start            uint64
	attributes       map[string]string
}

// drawTree draws the spans below a parent, in the order of their starts.
func drawTree(spans []exportedSpan, parent, indent string) string {
	var children []exportedSpan
	for _, span := range spans {
		if span.parent == parent {
			children = append(children, span)
		}
	}
	slices.SortFunc(children, func(a, b exportedSpan) int { return cmp.Compare(a.start, b.start) })
	var b strings.Builder
	for _, span := range children {
		b.WriteString(indent + span.name)
		for _, key := range []string{"pismo.token.issue.reason", "pismo.token.rejection.outcome", "http.request.resend_count"} {
			if value, ok := span.attributes[key]; ok {
				b.WriteString(" " + value)
			}
		}
		b.WriteString("\n" + drawTree(spans, span.id, indent+"  "))
	}
	return b.String()
}
