// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// hangingIssuer is a fakeIssuer whose endpoint can hang: the endpoint accepts a
// request and never answers.
type hangingIssuer struct {
	fakeIssuer
	hangs atomic.Bool
}

func (h *hangingIssuer) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	grant, err := h.fakeIssuer.Issue(ctx, account)
	if h.hangs.Load() {
		<-ctx.Done()
		return tokensource.Grant{}, ctx.Err()
	}
	return grant, err
}

// One endpoint answers 401 to everything while the token endpoint hangs.
// Callers of other endpoints use the same valid token and must hardly be
// delayed.
func TestToken_ServesWhileRenewalsHang(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := &hangingIssuer{}
		src := newSource(t, issuer)
		account := acct(t, 1)
		token(t, src, account)
		issuer.hangs.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				if tok, err := src.Token(ctx, account); err == nil {
					_, _ = src.Renew(ctx, tok)
				}
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(10 * time.Millisecond)
		var blocked time.Duration
		for ctx.Err() == nil {
			start := time.Now()
			if _, err := src.Token(context.Background(), account); err != nil {
				t.Fatal("a caller of a good token fails:", err)
			}
			blocked += time.Since(start)
			time.Sleep(100 * time.Millisecond)
		}
		between(t, "the time that callers were held up in five minutes", blocked, 500*time.Millisecond, 1100*time.Millisecond)
	})
}

func TestToken_WaitsASecondForARenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := &hangingIssuer{}
		src := newSource(t, issuer)
		account := acct(t, 1)
		first := token(t, src, account)
		issuer.hangs.Store(true)
		all := together(4, 400*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				return src.Renew(t.Context(), first)
			}
			return src.Token(t.Context(), account)
		})
		wantKind(t, all[0].err, tokensource.ErrTimeout)
		for i, want := range []time.Duration{600 * time.Millisecond, 200 * time.Millisecond, 0} {
			g := all[1+i]
			if g.token != first || g.err != nil || g.waited != want {
				t.Errorf("caller %d got %v, %v after %v, want the refused token after %v", 1+i, g.token, g.err, g.waited, want)
			}
		}
	})
}

// Many refusals join the renewal that hangs. They do not extend the second that
// callers wait.
func TestToken_PatienceIsNotProlonged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := &hangingIssuer{}
		src := newSource(t, issuer)
		account := acct(t, 1)
		first := token(t, src, account)
		issuer.hangs.Store(true)
		for range 6 {
			go func() { _, _ = src.Renew(context.Background(), first) }()
			time.Sleep(400 * time.Millisecond)
		}
		start := time.Now()
		token(t, src, account)
		between(t, "the wait", time.Since(start), 0, 0)
	})
}

// A caller gets the new token if the renewal ends within a second.
func TestToken_PrefersTheRenewedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 900 * time.Millisecond}
		src := newSource(t, d)
		account := acct(t, 1)
		first := token(t, src, account)
		all := together(2, 100*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				return src.Renew(t.Context(), first)
			}
			return src.Token(t.Context(), account)
		})
		if got := serials(t, all); len(got) != 1 || got[0] != 2 {
			t.Errorf("the callers got the tokens %d, want 2", got)
		}
	})
}

// A token that is served while a renewal hangs must not be served after it
// expires.
func TestToken_PatienceEndsWithTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := &hangingIssuer{}
		src := newSource(t, issuer)
		account := acct(t, 1)
		first := token(t, src, account)
		time.Sleep(time.Until(first.Expiry()) - 15*time.Second - 500*time.Millisecond)
		issuer.hangs.Store(true)
		all := together(2, time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				return src.Renew(t.Context(), first)
			}
			return src.Token(t.Context(), account)
		})
		for _, g := range all {
			wantKind(t, g.err, tokensource.ErrTimeout)
		}
	})
}

// A refusal can arrive after the renewal ahead of expiry has already hung for
// longer than a second.
func TestRenew_JoinsAHungRenewalAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := &hangingIssuer{}
		src := newSource(t, issuer)
		account := acct(t, 1)
		first := token(t, src, account)
		time.Sleep(540 * time.Second)
		issuer.hangs.Store(true)
		token(t, src, account) // Begins the renewal.
		time.Sleep(3 * time.Second)
		go func() { _, _ = src.Renew(context.Background(), first) }()
		synctest.Wait()
		start := time.Now()
		if token(t, src, account) != first {
			t.Error("another token is served")
		}
		between(t, "the wait", time.Since(start), time.Second, time.Second)
		start = time.Now()
		token(t, src, account)
		between(t, "the wait of the next caller", time.Since(start), 0, 0)
	})
}
