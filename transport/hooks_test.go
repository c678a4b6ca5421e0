// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

func TestHooks_RefusedReportsOutcome(t *testing.T) {
	type told struct {
		info   transport.RefusedInfo
		result transport.RefusedResult
	}
	org := tokensource.Organization()
	for _, test := range []struct {
		name   string
		answer func(*fakeIssuer, sentRequest) (*http.Response, error)
		down   bool // only the first token is issued
		stream bool
		want   []told
	}{
		{"replayed", func(m *fakeIssuer, s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				m.revoke()
			}
			return m.answer(s)
		}, false, false, []told{
			{transport.RefusedInfo{Account: org, Serial: 1, Verdict: transport.TokenRefused}, transport.RefusedResult{Outcome: transport.OutcomeReplayed, Serial: 2}},
		}},
		{"refused again", func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, ""), nil
		}, false, false, []told{
			{transport.RefusedInfo{Account: org, Serial: 1, Verdict: transport.TokenRefused}, transport.RefusedResult{Outcome: transport.OutcomeReplayed, Serial: 2}},
			{transport.RefusedInfo{Account: org, Serial: 2, Verdict: transport.TokenRefused, Replayed: true}, transport.RefusedResult{Outcome: transport.OutcomeNotReplayable}},
		}},
		{"a stream", func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, ""), nil
		}, false, true, []told{
			{transport.RefusedInfo{Account: org, Serial: 1, Verdict: transport.TokenRefused}, transport.RefusedResult{Outcome: transport.OutcomeNotReplayable}},
		}},
		{"not renewed", func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, ""), nil
		}, true, false, []told{
			{transport.RefusedInfo{Account: org, Serial: 1, Verdict: transport.TokenRefused}, transport.RefusedResult{Outcome: transport.OutcomeNotRenewed, Err: tokensource.ErrCredentialsRejected}},
		}},
		{"business", func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, `{"code":"EUPI0120"}`), nil
		}, false, false, []told{
			{transport.RefusedInfo{Account: org, Serial: 1, Verdict: transport.RequestRefused}, transport.RefusedResult{Outcome: transport.OutcomePassed}},
		}},
		{"unrecognized", func(*fakeIssuer, sentRequest) (*http.Response, error) {
			return respond(http.StatusUnauthorized, `{"code":"unknown"}`), nil
		}, false, false, []told{
			{transport.RefusedInfo{Account: org, Serial: 1, Verdict: transport.Unrecognized}, transport.RefusedResult{Outcome: transport.OutcomePassed}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &fakeIssuer{}
				m.before = func(context.Context) error {
					if test.down && m.issuances() > 0 {
						return tokensource.NewError(tokensource.ErrCredentialsRejected, nil)
					}
					return nil
				}
				w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) { return test.answer(m, s) }}
				var got []told
				rt := newTransport(t, m, w, func(c *transport.Config) {
					c.Hooks.Refused = func(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
						sent := len(w.requests())
						return ctx, func(result transport.RefusedResult) {
							if len(w.requests()) != sent {
								t.Error("the end of the renewal was reported after the replay")
							}
							got = append(got, told{info, result})
						}
					}
				})
				var body io.Reader = strings.NewReader("payment")
				if test.stream {
					body = withoutGetBody(body)
				}
				send(t, rt, newRequest(t, http.MethodPost, target, body))
				synctest.Wait()
				same := slices.EqualFunc(got, test.want, func(got, want told) bool {
					if !errors.Is(got.result.Err, want.result.Err) {
						return false
					}
					got.result.Err, want.result.Err = nil, nil
					return got == want
				})
				if !same {
					t.Errorf("the hooks got %+v, want %+v", got, test.want)
				}
			})
		})
	}
}

// The context that the hook returns carries the span of the renewal. The
// renewal uses that context, so the Source's hooks get it too.
func TestHooks_RenewalUsesHookContext(t *testing.T) {
	type key struct{}
	m, w := &fakeIssuer{}, answers401("")
	renewals := 0
	source, err := tokensource.New(tokensource.Config{Issuer: m, Hooks: tokensource.Hooks{
		Renew: func(ctx context.Context, _ tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
			renewals++
			if ctx.Value(key{}) != "span" {
				t.Error("the renewal has another context")
			}
			return ctx, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rt := newTransport(t, m, w, func(c *transport.Config) {
		c.Source = source
		c.Hooks.Refused = func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
			return context.WithValue(ctx, key{}, "span"), nil
		}
	})
	get(t, rt, target)
	if renewals != 1 {
		t.Errorf("%d renewals, want 1", renewals)
	}
	for _, s := range w.requests() {
		if s.ctx.Value(key{}) != nil {
			t.Error("the request was sent with the renewal's context")
		}
	}
}

func TestHooks_RetryIsCalledBeforeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := error(syscall.ECONNRESET)
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				return respond(http.StatusServiceUnavailable, "", "Retry-After", "3"), nil
			}
			return nil, failure
		}}
		var got []transport.RetryInfo
		var at []time.Time
		rt := newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) {
			c.Hooks.Retry = func(_ context.Context, info transport.RetryInfo) {
				got, at = append(got, info), append(at, time.Now())
			}
		})
		if _, err := trySend(rt, newRequest(t, http.MethodGet, target, nil)); err != failure {
			t.Errorf("got error %v, want %v", err, failure)
		}
		if len(got) != 2 {
			t.Fatalf("got %+v, want two retries", got)
		}
		if first := got[0]; first != (transport.RetryInfo{Attempt: 2, Wait: 3 * time.Second, StatusCode: http.StatusServiceUnavailable}) {
			t.Errorf("the first is %+v", first)
		}
		if second := got[1]; second.Attempt != 3 || second.Wait > 200*time.Millisecond || second.StatusCode != 0 || second.Err != failure {
			t.Errorf("the second is %+v", second)
		}
		if at[1].Sub(at[0]) != 3*time.Second || !time.Now().Equal(at[1].Add(got[1].Wait)) {
			t.Error("the hooks were not called before the waits")
		}
	})
}

func TestHooks_NotCalledOnSuccess(t *testing.T) {
	rt := newTransport(t, &fakeIssuer{}, &fakeBase{}, func(c *transport.Config) {
		c.Hooks = transport.Hooks{
			Refused: func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
				t.Error("Refused was called")
				return ctx, nil
			},
			Retry: func(context.Context, transport.RetryInfo) { t.Error("Retry was called") },
		}
	})
	wantStatus(t, get(t, rt, target), http.StatusOK)
}

func TestJoinHooks_EndsInReverseOrder(t *testing.T) {
	type key struct{}
	var calls []string
	note := func(name string) transport.Hooks {
		return transport.Hooks{
			Refused: func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
				before, _ := ctx.Value(key{}).(string)
				calls = append(calls, "refused "+before+name)
				return context.WithValue(ctx, key{}, before+name), func(transport.RefusedResult) { calls = append(calls, "ended "+name) }
			},
			Retry: func(context.Context, transport.RetryInfo) { calls = append(calls, "retry "+name) },
		}
	}
	silent := transport.Hooks{
		Refused: func(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
			return ctx, nil
		},
	}
	for _, hooks := range []transport.Hooks{
		transport.JoinHooks(note("a"), note("b")),
		transport.JoinHooks(transport.JoinHooks(note("a"), silent), transport.JoinHooks(transport.Hooks{}, transport.JoinHooks(note("b"), transport.Hooks{}))),
	} {
		calls = nil
		_, done := hooks.Refused(t.Context(), transport.RefusedInfo{})
		done(transport.RefusedResult{})
		hooks.Retry(t.Context(), transport.RetryInfo{})
		if want := []string{"refused a", "refused ab", "ended b", "ended a", "retry a", "retry b"}; !slices.Equal(calls, want) {
			t.Errorf("called %q, want %q", calls, want)
		}
	}
}
