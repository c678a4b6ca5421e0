// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRenewInBackground_KeepsTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 200 * time.Millisecond}
		var recorder hookRecorder
		src := newSource(t, d, withHooks(recorder.hooks()))
		first := token(t, src, acct(t, 1))
		recorder.read()
		start := time.Now()
		for range 10 {
			src.RenewInBackground(t.Context(), first)
		}
		synctest.Wait()
		wantLines(t, "the renewal", recorder.read(), "issue 1 suspected #2")
		if tok := token(t, src, acct(t, 1)); tok != first {
			t.Errorf("got %v, want the first token", tok)
		}
		between(t, "the wait", time.Since(start), 0, 0)
		time.Sleep(time.Second)
		if tok := token(t, src, acct(t, 1)); tok.Serial() != 2 {
			t.Errorf("got %v, want token 2", tok)
		}
		wantAsked(t, d, 2)
	})
}

func TestRenewInBackground_OutlivesItsRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{latency: 200 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		src.RenewInBackground(ctx, token(t, src, acct(t, 1)))
		cancel()
		time.Sleep(time.Second)
		if tok := token(t, src, acct(t, 1)); tok.Serial() != 2 {
			t.Errorf("got %v, want token 2", tok)
		}
	})
}
