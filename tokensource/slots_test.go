// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func maxIssuances(n int) func(*tokensource.Config) {
	return func(c *tokensource.Config) { c.MaxIssuances = n }
}

func TestSlots_SixteenIssuancesAtOnce(t *testing.T) {
	for name, tt := range map[string]struct{ configured, want int }{
		"by default": {0, 16}, "configured": {3, 3}, "without limit": {math.MaxInt, 100},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: 100 * time.Millisecond}
				src := newSource(t, d, maxIssuances(tt.configured))
				accounts := accts(t, 100)
				all := together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
					return src.Token(t.Context(), accounts[i])
				})
				if got := serials(t, all); len(got) != len(accounts) {
					t.Errorf("%d accounts got %d tokens", len(accounts), len(got))
				}
				if d.most != tt.want {
					t.Errorf("%d issuances ran at once, want %d", d.most, tt.want)
				}
			})
		})
	}
}

func TestSlots_FullQueueIsOverloaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d, maxIssuances(1))
		accounts := accts(t, 1+64+1)
		served := make(chan error, len(accounts))
		for _, account := range accounts[:65] { // One has the slot, and 64 wait.
			go func() {
				_, err := src.Token(t.Context(), account)
				served <- err
			}()
			synctest.Wait()
		}
		start := time.Now()
		for range 100 {
			err := wantNoToken(t, src, accounts[65], tokensource.ErrOverloaded)
			if err.RetryAfter != 0 || err.Suppressed {
				t.Fatalf("RetryAfter is %v, suppressed is %v", err.RetryAfter, err.Suppressed)
			}
		}
		between(t, "the wait", time.Since(start), 0, 0)
		for range 65 {
			if err := <-served; err != nil {
				t.Errorf("a caller that waited got %v", err)
			}
		}
		token(t, src, accounts[65]) // It is not in cooldown, and does not count as waiting.
	})
}

func TestSlots_FullQueueKeepsTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d, maxIssuances(1))
		first := token(t, src, acct(t, 1))
		time.Sleep(500 * time.Second)
		d.latency = 100 * time.Millisecond
		for _, account := range accts(t, 65) {
			go func() { _, _ = src.Token(t.Context(), account) }()
			synctest.Wait()
		}
		if token(t, src, acct(t, 1)) != first { // The token is stale and cannot be renewed now.
			t.Error("the token is not served")
		}
		wantNotRenewed(t, src, first, tokensource.ErrOverloaded)
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is out of service")
		}
	})
}

func TestSlots_LongWaitIsOverloaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		hung := acct(t, 1)
		src := newSource(t, issuerFunc(func(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
			if account == hung {
				<-hang
			}
			return opaque("x", 0), nil
		}), maxIssuances(1))
		wantNoToken(t, src, hung, tokensource.ErrTimeout)

		// An abandoned call keeps its slot. So an issuer that ignores its context is
		// not called again and again.
		start := time.Now()
		wantNoToken(t, src, acct(t, 2), tokensource.ErrOverloaded)
		between(t, "the wait", time.Since(start), 10*time.Second, 10*time.Second)
		close(hang)
		synctest.Wait()
		token(t, src, acct(t, 2))
	})
}

// A thousand accounts arrive at once, and a healthy endpoint takes 12.5 s for
// all of them. The last issuances get their slot too late for a response. The
// queue causes their timeout, which says nothing about the endpoint.
func TestSlots_LongQueueIsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 190 * time.Millisecond}
		src := newSource(t, d)
		accounts := accts(t, 1000)
		all := together(len(accounts), 0, func(i int) (*tokensource.Token, error) {
			return src.Token(t.Context(), accounts[i])
		})
		late := 0
		for i, g := range all {
			if g.err == nil {
				continue
			}
			late++
			if e := wantKind(t, g.err, tokensource.ErrOverloaded); e.Suppressed || e.RetryAfter != 0 {
				t.Fatalf("account %d: %v, as if it had failed", i, e)
			}
			token(t, src, accounts[i]) // Neither the account nor the Source is in cooldown.
		}
		if late == 0 || late == len(all) {
			t.Errorf("%d of %d were late: the test proves nothing", late, len(all))
		}
	})
}
