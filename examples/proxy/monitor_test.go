// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

func TestMonitor_ShowsTraceAsTree(t *testing.T) {
	f := newPageFixture(t)
	f.read(t, alice)
	f.fake.RevokeAll()
	f.read(t, alice)
	s := f.page.snapshot(time.Now())
	var names []string
	var walk func(string, []*span)
	walk = func(indent string, spans []*span) {
		for _, one := range spans {
			names = append(names, indent+one.Name+": "+one.Detail)
			walk(indent+"  ", one.Spans)
		}
	}
	walk("", s.Traces[0].Spans)
	want := `token: cached, serial 1
attempt 1: status 401
401 classified: token_refused: replayed
  renewal: issued, serial 2
    issuance 2: refused, serial 2
attempt 2: status 200`
	if got := strings.Join(names, "\n"); got != want || s.Traces[0].Outcome != outcomeReplayed {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Most requests are ordinary. They must not displace the others.
func TestMonitor_KeepsOneOrdinaryTrace(t *testing.T) {
	f := newPageFixture(t)
	f.read(t, alice)
	for range 2 * shownTraces {
		f.page.monitor.mu.Lock()
		f.page.monitor.ordinary = time.Time{}
		f.page.monitor.mu.Unlock()
		f.read(t, alice)
	}
	if s := f.page.snapshot(time.Now()); len(s.Traces) != 2 || s.Traces[1].Spans[0].Detail != "issued, serial 1" {
		t.Errorf("got the traces %+v, want 2, of which the second issued serial 1", s.Traces)
	}
}
