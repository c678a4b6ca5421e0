// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A hookRecorder records the calls of the hooks in order.
type hookRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (d *hookRecorder) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// read returns the lines since the last call.
func (d *hookRecorder) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

// ended describes the end of an operation in a word.
func ended(serial uint64, err error) string {
	if err != nil {
		e, _ := errors.AsType[*tokensource.Error](err)
		return string(e.Kind)
	}
	return fmt.Sprint("token ", serial)
}

func (d *hookRecorder) hooks() tokensource.Hooks {
	return tokensource.Hooks{
		Acquire: func(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
			d.note("acquire %s %s #%d", info.Account.ID(), info.Origin, info.Issuance)
			return ctx, func(r tokensource.AcquireResult) {
				d.note("acquired %s: %s", info.Account.ID(), ended(r.Serial, r.Err))
			}
		},
		Issue: func(issue, _ context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			d.note("issue %s %s #%d", info.Account.ID(), info.Reason, info.Issuance)
			return issue, func(r tokensource.IssueResult) {
				d.note("issued #%d: %s for %v, %d attempts", info.Issuance, ended(r.Serial, r.Err), r.Lifetime, r.Attempts)
			}
		},
		Renew: func(ctx context.Context, info tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
			d.note("renew %s token %d: %s #%d", info.Account.ID(), info.RefusedSerial, info.Outcome, info.Issuance)
			return ctx, func(r tokensource.RenewResult) { d.note("renewed %s: %s", info.Account.ID(), ended(r.Serial, r.Err)) }
		},
	}
}

func withHooks(hooks tokensource.Hooks) func(*tokensource.Config) {
	return func(c *tokensource.Config) { c.Hooks = hooks }
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestHooks_ReportEveryEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var recorder hookRecorder
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d, withHooks(recorder.hooks()))
		account := acct(t, 7)

		together(2, 10*time.Millisecond, func(int) (*tokensource.Token, error) { return src.Token(t.Context(), account) })
		synctest.Wait()
		lines := recorder.read()
		slices.Sort(lines[3:]) // The order in which the waiting callers wake is random.
		wantLines(t, "two cold callers", lines,
			"issue 7 cold #1", "acquire 7 issued #1", "acquire 7 joined #1",
			"acquired 7: token 1", "acquired 7: token 1", "issued #1: token 1 for 10m0s, 1 attempts")

		first := token(t, src, account)
		wantLines(t, "a cached token", recorder.read(), "acquire 7 cached #0", "acquired 7: token 1")

		if _, err := src.ForAccount(account).Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "a handle", recorder.read(), "acquire 7 cached #0", "acquired 7: token 1")

		time.Sleep(500 * time.Second)
		token(t, src, account)
		time.Sleep(time.Second)
		lines = recorder.read()
		slices.Sort(lines) // The issuance runs concurrently with the caller.
		wantLines(t, "a stale token", lines,
			"acquire 7 stale #0", "acquired 7: token 1",
			"issue 7 ahead #2", "issued #2: token 2 for 10m0s, 1 attempts")

		renew(t, src, first)
		wantLines(t, "a renewal that came too late", recorder.read(), "renew 7 token 1: superseded #0", "renewed 7: token 2")

		second := token(t, src, account)
		recorder.read()
		together(3, 10*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i < 2 {
				return src.Renew(t.Context(), second)
			}
			return src.Token(t.Context(), account)
		})
		synctest.Wait()
		lines = recorder.read()
		slices.Sort(lines[4:])
		wantLines(t, "two refusals and a caller", lines,
			"issue 7 refused #3", "renew 7 token 2: issued #3", "renew 7 token 2: joined #3", "acquire 7 joined #3",
			"acquired 7: token 3", "issued #3: token 3 for 10m0s, 1 attempts", "renewed 7: token 3", "renewed 7: token 3")

		time.Sleep(time.Hour)
		d.fail(errDown)
		wantNoToken(t, src, account, tokensource.ErrUnavailable)
		synctest.Wait()
		lines = recorder.read()
		slices.Sort(lines[2:])
		wantLines(t, "an outage", lines,
			"issue 7 expired #4", "acquire 7 issued #4",
			"acquired 7: unavailable", "issued #4: unavailable for 0s, 2 attempts")

		wantNoToken(t, src, account, tokensource.ErrUnavailable)
		wantLines(t, "an account in cooldown", recorder.read(), "acquire 7 suppressed #4", "acquired 7: unavailable")

		wantNotRenewed(t, src, second, tokensource.ErrUnavailable)
		wantLines(t, "a renewal while in cooldown", recorder.read(), "renew 7 token 2: suppressed #4", "renewed 7: unavailable")
	})
}

func TestHooks_LearnOfCanceledCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var recorder hookRecorder
		src := newSource(t, &fakeIssuer{latency: time.Second}, withHooks(recorder.hooks()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := src.Token(ctx, acct(t, 7))
		wantKind(t, err, tokensource.ErrTimeout)
		wantLines(t, "the caller", recorder.read(), "issue 7 cold #1", "acquire 7 issued #1", "acquired 7: timeout")
		time.Sleep(time.Second)
		wantLines(t, "the issuance", recorder.read(), "issued #1: token 1 for 10m0s, 1 attempts")
	})
}

func TestHooks_SuppressedIssuanceHasZeroAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var recorder hookRecorder
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d, withHooks(recorder.hooks()))
		openBreaker(t, d, src, errDown)
		time.Sleep(time.Second)
		recorder.read()
		together(2, time.Millisecond, func(i int) (*tokensource.Token, error) { // One is the probe.
			return src.Token(t.Context(), acct(t, 1+i))
		})
		synctest.Wait()
		if lines := recorder.read(); !slices.Contains(lines, "issued #5: unavailable for 0s, 0 attempts") {
			t.Errorf("the hooks recorded %q", lines)
		}
	})
}

func TestHooks_SkipMisconfiguredCalls(t *testing.T) {
	var recorder hookRecorder
	src := newSource(t, &fakeIssuer{}, withHooks(recorder.hooks()))
	wantNoToken(t, src, tokensource.Account{}, tokensource.ErrMisconfigured)
	wantNotRenewed(t, src, nil, tokensource.ErrMisconfigured)
	wantLines(t, "two faults of the program", recorder.read())
}

func TestHooks_OpenBreakerBeginsNoIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var recorder hookRecorder
		d := &fakeIssuer{}
		src := newSource(t, d, withHooks(recorder.hooks()))
		openBreaker(t, d, src, errDown)
		synctest.Wait()
		recorder.read()
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		synctest.Wait()
		wantLines(t, "a caller", recorder.read(), "acquire 1 suppressed #3", "acquired 1: unavailable")
	})
}

func TestHooks_IssueIsCountedBeforeReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var counted atomic.Int64
		src := newSource(t, &fakeIssuer{}, withHooks(tokensource.Hooks{
			Issue: func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
				return issue, func(tokensource.IssueResult) {
					time.Sleep(time.Millisecond) // A caller that does not wait for this hook counts too few.
					counted.Add(1)
				}
			},
		}))
		renew(t, src, token(t, src, acct(t, 1)))
		if counted.Load() != 2 {
			t.Errorf("%d issuances were counted, want 2", counted.Load())
		}
	})
}
