// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/transport"
)

// hookFaults are the faults of a hook. Each hook returns at the end of the
// bubble at the latest.
func hookFaults(over <-chan struct{}) map[string]func() {
	return map[string]func(){
		"panics":             func() { panic("inconsistent label cardinality") },
		"panics with nil":    func() { panic(nil) }, //nolint:govet // The test needs a nil panic.
		"ends its goroutine": runtime.Goexit,
		"blocks":             func() { <-over },
	}
}

// A request gets its answer even if a hook fails.
func TestHooks_FaultyHarmNoRequest(t *testing.T) {
	for name := range hookFaults(nil) {
		for _, where := range []string{"Refused", "its function", "Retry", "Classify", "no context"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					over := make(chan struct{})
					defer close(over)
					fault := hookFaults(over)[name]
					m := &fakeIssuer{}
					w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
						switch s.number {
						case 1:
							return respond(http.StatusServiceUnavailable, ""), nil
						case 2:
							return respond(http.StatusUnauthorized, ""), nil
						}
						return respond(http.StatusOK, ""), nil
					}}
					rt := newTransport(t, m, w, func(c *transport.Config) {
						c.Hooks.Refused = func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
							if where == "Refused" {
								fault()
							}
							if where == "no context" {
								ctx = nil
							}
							return ctx, func(transport.RefusedResult) {
								if where == "its function" {
									fault()
								}
							}
						}
						c.Hooks.Retry = func(context.Context, transport.RetryInfo) {
							if where == "Retry" {
								fault()
							}
						}
						c.Classify = func(r *transport.Refusal) transport.Verdict {
							if where == "Classify" {
								fault()
							}
							return r.Verdict
						}
					})
					want, sent := http.StatusOK, 3
					if where == "Classify" {
						want, sent = http.StatusUnauthorized, 2 // Without a verdict, nothing is replayed.
					}
					began := time.Now()
					wantStatus(t, get(t, rt, target), want)
					wantSent(t, w, sent)
					if took := time.Since(began); took > 1200*time.Millisecond {
						t.Errorf("the request took %v, want 1.2s at most", took)
					}
					synctest.Wait()
				})
			})
		}
	}
}

// A hook that blocks must not delay a caller beyond its deadline.
func TestHooks_BlockingEndsWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		rt := newTransport(t, &fakeIssuer{}, answers401("refused"), func(c *transport.Config) {
			c.Hooks.Refused = func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
				<-over
				return ctx, nil
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		r := send(t, rt, newRequest(t, http.MethodPost, target, strings.NewReader("payment")).WithContext(ctx))
		if took := time.Since(began); took > 150*time.Millisecond || r.status != http.StatusUnauthorized {
			t.Errorf("got status %d after %v", r.status, took)
		}
	})
}

// Hooks also run for a caller that has left, because telemetry counts it.
func TestHooks_RunForCallersThatLeft(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			ended := false
			w := &fakeBase{answer: func(sentRequest) (*http.Response, error) {
				leave()
				return respond(http.StatusUnauthorized, ""), nil
			}}
			rt := newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) {
				c.Hooks.Refused = func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
					return ctx, func(transport.RefusedResult) { ended = true }
				}
			})
			_, _ = trySend(rt, newRequest(t, http.MethodGet, target, nil).WithContext(ctx))
			if !ended {
				t.Error("the hook did not learn of the end")
			}
		})
	}
}
