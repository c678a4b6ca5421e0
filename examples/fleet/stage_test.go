// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"strings"
	"testing"
)

func newTestStage(t *testing.T, ctx context.Context) *stage { //nolint:revive // The test comes first.
	t.Helper()
	s, err := newStage(ctx, small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// A replica ends with its input, and so with its parent, however that ends.
func TestProcess_EndsWithItsInput(t *testing.T) {
	p := newTestStage(t, t.Context()).replicas[0]
	_ = p.input.Close()
	if err := p.command.Wait(); err != nil {
		t.Errorf("the replica ended with %v, want exit code 0", err)
	}
}

func TestProcess_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newTestStage(t, ctx)
	cancel()
	if err := s.replicas[0].command.Wait(); err == nil {
		t.Error("the replica was not killed")
	}
	if err := s.round(accountIDs(1, 0)); err == nil || !strings.Contains(err.Error(), "replica 1 has ended") {
		t.Errorf("got error %v, want the name of the replica", err)
	}
}

func TestStage_CloseEndsReplicas(t *testing.T) {
	s := newTestStage(t, t.Context())
	s.close()
	for _, p := range s.replicas {
		if p.command.ProcessState == nil {
			t.Errorf("%s still runs", p.name)
		}
	}
}

func TestStage_EventsHappen(t *testing.T) {
	s := newTestStage(t, t.Context())
	before := s.replicas[1].command.Process.Pid
	for _, step := range []struct {
		round int
		want  string
		store bool // is reachable after the event
	}{
		{0, "all replicas start", true},
		{1, "", true},
		{5, "time passes", true},
		{10, "replica 2 is killed and starts again", true},
		{35, "the store stops", false},
		{45, "the store starts again", true},
		{60, "replica 1 is killed and starts again", true},
	} {
		event, err := s.event(step.round)
		if err != nil {
			t.Fatal(err)
		}
		if event != step.want {
			t.Errorf("round %d: got %q, want %q", step.round, event, step.want)
		}
		c, err := new(net.Dialer).DialContext(t.Context(), s.store.network, s.store.address)
		if (err == nil) != step.store {
			t.Errorf("round %d: got error %v from the store", step.round, err)
		}
		if err == nil {
			c.Close()
		}
		if err := s.round(accountIDs(1, 0)); err != nil {
			t.Error(err)
		}
	}
	if s.replicas[1].command.Process.Pid == before {
		t.Error("the replica did not restart")
	}
	if s.failed != (both[int]{}) {
		t.Errorf("requests failed: %+v", s.failed)
	}
}

// A cancelingWriter cancels when a text is written.
type cancelingWriter struct {
	strings.Builder

	text   string
	cancel context.CancelFunc
}

func (w *cancelingWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.cancel()
	}
	return w.Builder.Write(p)
}

func TestLive_RunsUntilStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &cancelingWriter{text: "all replicas start", cancel: cancel}
	if err := live(ctx, small, out); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "  all replicas start   ") {
		t.Errorf("there is no line of figures:\n%s", out.String())
	}
}
