// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// timedBase records when requests are sent.
type timedBase struct {
	*fakeBase
	at []time.Time
}

func (c *timedBase) RoundTrip(req *http.Request) (*http.Response, error) {
	c.at = append(c.at, time.Now())
	return c.fakeBase.RoundTrip(req)
}

// waits returns the times between the requests.
func (c *timedBase) waits() []time.Duration {
	var waits []time.Duration
	for i := 1; i < len(c.at); i++ {
		waits = append(waits, c.at[i].Sub(c.at[i-1]))
	}
	return waits
}

func TestBackoff_DoublesWithFullJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		limits := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2 * time.Second, 2 * time.Second}
		shortest, longest := slices.Repeat([]time.Duration{time.Hour}, len(limits)), make([]time.Duration, len(limits))
		for range 200 {
			c := &timedBase{fakeBase: &fakeBase{answer: always(http.StatusServiceUnavailable, "")}}
			get(t, newTransport(t, &fakeIssuer{}, c, func(c *transport.Config) { c.MaxAttempts = len(limits) + 1 }), target)
			for i, wait := range c.waits() {
				shortest[i], longest[i] = min(shortest[i], wait), max(longest[i], wait)
			}
		}
		for i, limit := range limits {
			if longest[i] > limit || longest[i] < limit/2 || shortest[i] > limit/2 {
				t.Errorf("wait %d is between %v and %v, want random ones up to %v", i+1, shortest[i], longest[i], limit)
			}
		}
	})
}

func TestRetryAfter_IsHonoredUpToTenSeconds(t *testing.T) {
	const never = -1
	for _, test := range []struct {
		name   string
		header func(now time.Time) []string
		want   time.Duration
	}{
		{"seconds", func(time.Time) []string { return []string{"Retry-After", "7"} }, 7 * time.Second},
		{"ten seconds", func(time.Time) []string { return []string{"Retry-After", "10"} }, 10 * time.Second},
		{"eleven seconds", func(time.Time) []string { return []string{"Retry-After", "11"} }, never},
		{"an hour", func(time.Time) []string { return []string{"Retry-After", "3600"} }, never},
		{"more than a Duration", func(time.Time) []string { return []string{"Retry-After", strings.Repeat("9", 40)} }, never},
		{"a date", func(now time.Time) []string {
			return []string{"Retry-After", now.Add(5 * time.Second).UTC().Format(http.TimeFormat)}
		}, 5 * time.Second},
		{"a date by another clock", func(now time.Time) []string {
			now = now.Add(24 * time.Hour)
			return []string{"Retry-After", now.Add(5 * time.Second).UTC().Format(http.TimeFormat), "Date", now.UTC().Format(http.TimeFormat)}
		}, 5 * time.Second},
		{"a date in an hour", func(now time.Time) []string {
			return []string{"Retry-After", now.Add(time.Hour).UTC().Format(http.TimeFormat)}
		}, never},
		{"a date in the past", func(now time.Time) []string {
			return []string{"Retry-After", now.Add(-time.Hour).UTC().Format(http.TimeFormat)}
		}, 0},
		{"zero seconds", func(time.Time) []string { return []string{"Retry-After", "0"} }, 0},
		{"a negative number", func(time.Time) []string { return []string{"Retry-After", "-5"} }, 0},
		{"garbage", func(time.Time) []string { return []string{"Retry-After", "soon"} }, 0},
		{"nothing", func(time.Time) []string { return nil }, 0},
	} {
		for _, status := range []int{429, 502, 503, 504} {
			synctest.Test(t, func(t *testing.T) {
				c := &timedBase{fakeBase: &fakeBase{}}
				c.answer = func(s sentRequest) (*http.Response, error) {
					return respond(status, "answer", test.header(time.Now())...), nil
				}
				r := get(t, newTransport(t, &fakeIssuer{}, c), target)
				if r.status != status || r.body != "answer" {
					t.Errorf("%d, %s: got %+v, want the last answer", status, test.name, r)
				}
				waits := c.waits()
				if test.want == never {
					if len(waits) > 0 {
						t.Errorf("%d, %s: waited %v, want none", status, test.name, waits)
					}
					return
				}
				if len(waits) != 2 {
					t.Errorf("%d, %s: waited %v, want two waits", status, test.name, waits)
				}
				for _, wait := range waits {
					if wait < test.want || wait > test.want+200*time.Millisecond {
						t.Errorf("%d, %s: waited %v, want %v", status, test.name, wait, test.want)
					}
				}
			})
		}
	}
}

func TestRetry_NotBeyondDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeBase{answer: always(http.StatusServiceUnavailable, "answer", "Retry-After", "10")}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		r := send(t, newTransport(t, &fakeIssuer{}, w), newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
		if waited := time.Since(start); waited != 0 || r.status != http.StatusServiceUnavailable || r.body != "answer" {
			t.Errorf("got %+v after %v, want the answer at once", r, waited)
		}
		wantSent(t, w, 1)
	})
}

func TestRetry_NotBeyondClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeBase{answer: always(http.StatusServiceUnavailable, "answer", "Retry-After", "6")}
		client := &http.Client{Transport: newTransport(t, &fakeIssuer{}, w), Timeout: 10 * time.Second}
		start := time.Now()
		resp, err := client.Do(newRequest(t, http.MethodGet, target, nil))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if waited := time.Since(start); waited != 6*time.Second || resp.StatusCode != http.StatusServiceUnavailable || string(body) != "answer" || err != nil {
			t.Errorf("got status %d, %q, error %v after %v; want the second answer", resp.StatusCode, body, err, waited)
		}
		wantSent(t, w, 2)
	})
}

// A request whose signature or token has expired is refused when it is sent
// again (aws-sdk-go-v2#3192).
func TestRetry_RenewsExpiredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{life: 4 * time.Second}
		w := &fakeBase{}
		w.answer = func(s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				return respond(http.StatusServiceUnavailable, "", "Retry-After", "5"), nil
			}
			return respond(http.StatusOK, ""), nil
		}
		wantStatus(t, get(t, newTransport(t, m, w), target), http.StatusOK)
		sent := w.requests()
		if first, second := sent[0].header.Get("Authorization"), sent[1].header.Get("Authorization"); first == second {
			t.Error("the same token was sent twice")
		}
		wantIssued(t, m, 2)
	})
}

func TestRetry_ReturnsTokenError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{life: 4 * time.Second}
		m.before = func(context.Context) error {
			if m.issuances() > 0 {
				return tokensource.NewError(tokensource.ErrCredentialsRejected, nil)
			}
			return nil
		}
		w := &fakeBase{answer: always(http.StatusServiceUnavailable, "", "Retry-After", "5")}
		start := time.Now()
		_, err := trySend(newTransport(t, m, w), newRequest(t, http.MethodGet, target, nil))
		if !errors.Is(err, tokensource.ErrCredentialsRejected) {
			t.Errorf("got error %v, want ErrCredentialsRejected", err)
		}
		if waited := time.Since(start); waited > 6*time.Second {
			t.Errorf("it took %v, want no wait for a permanent error", waited)
		}
		wantSent(t, w, 1)
	})
}

// The connection cannot be reused if the body is not read.
func TestRetry_ClosesResponseFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := &spyFactory{content: "unavailable"}
		w := &fakeBase{}
		w.answer = func(sentRequest) (*http.Response, error) {
			for _, earlier := range made.made {
				earlier.wantClosedOnce(t)
				if earlier.read.Load() != int64(len(made.content)) {
					t.Error("the body was not read")
				}
			}
			resp := respond(http.StatusServiceUnavailable, "")
			resp.Body = made.body()
			return resp, nil
		}
		if r := get(t, newTransport(t, &fakeIssuer{}, w), target); r.body != made.content {
			t.Errorf("the last answer is %q, want %q", r.body, made.content)
		}
		wantSent(t, w, 3)
	})
}

func TestRetry_BoundsDiscardedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endless := &spy{Reader: zeros{}}
		w := &fakeBase{}
		w.answer = func(s sentRequest) (*http.Response, error) {
			resp := respond(http.StatusOK, "")
			if s.number == 1 {
				resp.StatusCode, resp.Body = http.StatusServiceUnavailable, endless
			}
			return resp, nil
		}
		wantStatus(t, get(t, newTransport(t, &fakeIssuer{}, w), target), http.StatusOK)
		endless.wantClosedOnce(t)
		if n := endless.read.Load(); n > 64<<10 {
			t.Errorf("%d bytes of it were read", n)
		}
	})
}

func TestRetry_CancellationEndsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unavailable := &spy{Reader: strings.NewReader("unavailable")}
		failure := errors.New("error of the base")
		for _, test := range []struct {
			answer func(sentRequest) (*http.Response, error)
			want   error
		}{
			{func(sentRequest) (*http.Response, error) {
				resp := respond(http.StatusServiceUnavailable, "", "Retry-After", "10")
				resp.Body = unavailable
				return resp, nil
			}, context.Canceled},
			{func(sentRequest) (*http.Response, error) { return nil, failure }, failure},
		} {
			ctx, leave := context.WithCancel(t.Context())
			w := &fakeBase{answer: test.answer}
			rt := newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) {
				c.Hooks.Retry = func(context.Context, transport.RetryInfo) { leave() }
			})
			start := time.Now()
			_, err := trySend(rt, newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
			if waited := time.Since(start); !errors.Is(err, test.want) || waited != 0 {
				t.Errorf("got error %v after %v, want %v at once", err, waited, test.want)
			}
			wantSent(t, w, 1)
		}
		unavailable.wantClosedOnce(t)
	})
}

func TestRetry_NotForCanceledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		w := &fakeBase{answer: func(sentRequest) (*http.Response, error) {
			leave()
			return respond(http.StatusServiceUnavailable, "answer"), nil
		}}
		rt := newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) {
			c.Hooks.Retry = func(context.Context, transport.RetryInfo) { t.Error("a retry was announced") }
		})
		r := send(t, rt, newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
		if r.status != http.StatusServiceUnavailable || r.body != "answer" {
			t.Errorf("got %+v, want the answer", r)
		}
		wantSent(t, w, 1)
	})
}
