// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestRenewalAhead_RunsInBackground(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 200 * time.Millisecond}
		src := newSource(t, d)
		one := src.ForAccount(acct(t, 1))
		token(t, src, acct(t, 1))
		time.Sleep(500 * time.Second)
		all := together(1000, 200*time.Microsecond, func(i int) (*tokensource.Token, error) {
			if i%2 == 0 {
				return one.Token(t.Context())
			}
			return src.Token(t.Context(), acct(t, 1))
		})
		for i, g := range all {
			between(t, "a caller's wait", g.waited, 0, 0)
			if g.err != nil || i < 999 && g.token.Serial() != 1 {
				t.Fatalf("caller %d: got %v, error %v, want the stale token at once", i, g.token, g.err)
			}
		}
		time.Sleep(time.Second)
		if tok := token(t, src, acct(t, 1)); tok.Serial() != 2 {
			t.Errorf("got %v, want token 2", tok)
		}
		wantAsked(t, d, 2)
	})
}

func TestRenewalAhead_FailureIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		start := time.Now()
		first := token(t, src, acct(t, 1))
		d.fail(errDown)

		time.Sleep(time.Until(start.Add(lifetime * 80 / 100)))
		outage := time.Now()
		for time.Now().Before(start.Add(585 * time.Second)) {
			if tok := token(t, src, acct(t, 1)); tok != first {
				t.Fatalf("got %v, want the first token", tok)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := d.askedBetween(outage, time.Now()); n < 6 || n > 14 {
			t.Errorf("in 105 s of outage, the issuer was asked %d times", n)
		}
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)

		d.fail(nil)
		time.Sleep(30 * time.Second)
		if tok := token(t, src, acct(t, 1)); tok == first {
			t.Error("the token was not renewed after the outage")
		}
	})
}

func TestRenewalAhead_RecoveryIsInvisible(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		d.fail(errDown)
		time.Sleep(lifetime * 80 / 100)
		token(t, src, acct(t, 1))
		time.Sleep(200 * time.Millisecond) // Both attempts have failed.
		d.fail(nil)
		time.Sleep(time.Second) // The cooldown is over.
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is not served while it is being renewed again")
		}
		synctest.Wait()
		if token(t, src, acct(t, 1)) == first {
			t.Error("the token was not renewed after the cooldown")
		}
	})
}
