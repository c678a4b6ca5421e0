// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestRevision_PanicOfTheIssuerCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := 0
		src := newSource(t, revise(issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
			calls++
			panic("broken")
		}), "1"))
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrIssuerPanic)
		}
		synctest.Wait()
		if calls != 1 {
			t.Errorf("the issuer was asked %d times, want 1", calls)
		}
	})
}

func TestRevision_TimeoutOfTheIssuerCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: time.Hour}
		src := newSource(t, revise(d, "1"))
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout)
		}
		wantAsked(t, d, 1)
	})
}

func TestRevision_GetsNoCallerValues(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T) {
		var seen []any
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		src := newSource(t, revisedBy{d, func(ctx context.Context) string {
			seen = append(seen, ctx.Value(key{}))
			return "1"
		}})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "dial info"))
		defer cancel()
		for range 3 {
			_, err := src.Token(ctx, acct(t, 1))
			wantKind(t, err, tokensource.ErrRateLimited)
			time.Sleep(time.Second)
		}
		for _, value := range seen {
			if value != nil {
				t.Fatalf("asked for its revision %d times, the issuer sees %v", len(seen), seen)
			}
		}
		if len(seen) < 3 {
			t.Errorf("the revision was asked for %d times: the test proves nothing", len(seen))
		}
	})
}

func TestRevision_CanceledCallerDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		slow := false
		src := newSource(t, revisedBy{d, func(ctx context.Context) string {
			if slow {
				<-ctx.Done()
			}
			return "1"
		}})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		slow = true
		time.Sleep(2 * time.Second)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := src.Token(ctx, acct(t, 1))
		wantKind(t, err, tokensource.ErrRateLimited)
		between(t, "the wait", time.Since(start), time.Millisecond, time.Millisecond)
	})
}

// The issuer reads its credentials from a hanging file system.
func TestRevision_IgnoredContextDelaysNoCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		hang := make(chan struct{})
		var hangs atomic.Bool
		var hanging atomic.Int32
		src := newSource(t, revisedBy{d, func(context.Context) string {
			if hangs.Load() {
				hanging.Add(1)
				<-hang
				return "2"
			}
			return "1"
		}})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		hangs.Store(true)
		for range 30 {
			time.Sleep(time.Second)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := src.Token(ctx, acct(t, 1))
			cancel()
			wantKind(t, err, tokensource.ErrRateLimited)
			between(t, "the wait", time.Since(start), 0, time.Millisecond)
		}
		if n := hanging.Load(); n != 1 {
			t.Errorf("%d calls of Revision hang", n)
		}
		d.fail(nil)
		close(hang)
		synctest.Wait()
		token(t, src, acct(t, 1))
	})
}

// A slow or hanging vault behind passport.S2S causes this. A revision that
// arrives after the timeout does not count as a change of the credentials.
func TestRevision_TimeoutIsNoChange(t *testing.T) {
	for _, latency := range []time.Duration{100 * time.Millisecond, time.Hour} {
		bubble(t, func(t *testing.T) {
			d := &fakeIssuer{}
			d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
			var slow atomic.Bool
			src := newSource(t, revisedBy{d, func(ctx context.Context) string {
				if slow.Load() {
					select {
					case <-time.After(latency):
					case <-ctx.Done():
						return "unreadable"
					}
				}
				return "1"
			}})
			wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
			slow.Store(true)
			for range 30 {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				_, err := src.Token(ctx, acct(t, 1))
				cancel()
				wantKind(t, err, tokensource.ErrRateLimited)
			}
			wantAsked(t, d, 1)
		})
	}
}

// The outage affects the vault too: the credentials can be read only at times.
func TestRevision_UnknownNowAndThenIsNoStorm(t *testing.T) {
	for _, accounts := range []int{1, 1000} {
		t.Run(strconv.Itoa(accounts), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: 10 * time.Millisecond}
				d.fail(errDown)
				src := newSource(t, revisedBy{d, func(context.Context) string {
					return []string{"1", ""}[rand.N(2)]
				}})
				all := accts(t, accounts)
				start := time.Now()
				for time.Since(start) < time.Minute {
					together(len(all), 0, func(i int) (*tokensource.Token, error) { return src.Token(t.Context(), all[i]) })
					time.Sleep(500 * time.Millisecond)
				}
				if n := d.asked(); n > 60 {
					t.Errorf("in a minute of outage, the issuer was asked %d times", n)
				}
			})
		})
	}
}

func TestRevision_AskingItsOwnSourceFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		var src *tokensource.Source
		var told []error
		src = newSource(t, revisedBy{d, func(ctx context.Context) string {
			_, err := src.Token(ctx, acct(t, 2))
			told = append(told, err)
			return "1"
		}})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		time.Sleep(2 * time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		for _, err := range told {
			wantKind(t, err, tokensource.ErrMisconfigured)
		}
		if len(told) < 2 {
			t.Errorf("the revision was asked for %d times: the test proves nothing", len(told))
		}
	})
}

func TestRevision_PanicIsNoChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		broken := true
		src := newSource(t, revisedBy{d, func(context.Context) string {
			if broken {
				panic("broken")
			}
			return "1"
		}})
		for range 3 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrIssuerPanic)
		}
		broken = false
		time.Sleep(time.Second)
		token(t, src, acct(t, 1))
	})
}

// revisedBy is an issuer with a Revision function.
type revisedBy struct {
	tokensource.Issuer

	revision func(context.Context) string
}

func (r revisedBy) Revision(ctx context.Context) string { return r.revision(ctx) }
