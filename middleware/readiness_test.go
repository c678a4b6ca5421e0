// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A probe is a readiness handler for a Source whose issuer counts requests.
type probe struct {
	http.Handler

	source *tokensource.Source
	asked  atomic.Int32
}

func newProbe(t *testing.T, issuer tokensource.Issuer, interval time.Duration) *probe {
	t.Helper()
	p := new(probe)
	p.source = newSource(t, tokensource.Config{Issuer: issuer, Hooks: tokensource.Hooks{
		Acquire: func(ctx context.Context, _ tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
			p.asked.Add(1)
			return ctx, nil
		},
	}})
	handler, err := middleware.NewReadiness(middleware.ReadinessConfig{Source: p.source, Account: acct(t, alice), Interval: interval})
	if err != nil {
		t.Fatal("NewReadiness:", err)
	}
	p.Handler = handler
	return p
}

// ready checks that the probe answers 200 without a body.
func (p *probe) ready(t *testing.T) {
	t.Helper()
	r := call(p, inbound(t))
	check(t, "status", r.status, http.StatusOK)
	check(t, "body", r.body, "")
	check(t, "Cache-Control", r.header.Get("Cache-Control"), "no-store")
}

// notReady checks that the probe answers 503 with the kind of the failure.
func (p *probe) notReady(t *testing.T, name string) {
	t.Helper()
	wantProblem(t, call(p, inbound(t)), http.StatusServiceUnavailable, name)
}

func TestReadiness_ReadyAfterIssuance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := passporttest.NewInProcess(t, passporttest.Config{})
		p := newProbe(t, fake.Issuer(), 0)
		check(t, "token requests before", fake.Counts().TokenRequests, 0)
		p.ready(t)
		check(t, "token requests for the account", fake.Counts().Accounts[alice].TokenRequests, 1)
		for range 100 {
			p.ready(t)
		}
		check(t, "token requests", fake.Counts().TokenRequests, 1)
		check(t, "asked", p.asked.Load(), 1)
	})
}

// The token endpoint is down. The instances stay in rotation while they have a
// valid token.
func TestReadiness_ReadyInOutageWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := passporttest.NewInProcess(t, passporttest.Config{Lifetime: 10 * time.Minute})
		p := newProbe(t, fake.Issuer(), 0)
		if _, err := p.source.Token(t.Context(), acct(t, bob)); err != nil { // The account does not matter.
			t.Fatal(err)
		}
		p.asked.Store(0)
		fake.FailAlways(passporttest.Status(http.StatusInternalServerError))
		fake.RevokeAll()
		asked := fake.Counts().TokenRequests
		for range 9 * 60 {
			p.ready(t)
			time.Sleep(time.Second)
		}
		check(t, "token requests", fake.Counts().TokenRequests, asked)
		check(t, "asked", p.asked.Load(), 0)
		time.Sleep(time.Minute) // The last token has expired.
		p.notReady(t, "unavailable")
		fake.Heal()
		time.Sleep(10 * time.Second)
		p.ready(t)
	})
}

func TestReadiness_AsksOncePerInterval(t *testing.T) {
	for interval, times := range map[time.Duration]int32{0: 6, time.Second: 60, time.Minute: 1, 25 * time.Second: 3} {
		t.Run(interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := passporttest.NewInProcess(t, passporttest.Config{})
				fake.FailAlways(passporttest.Status(http.StatusInternalServerError))
				p := newProbe(t, fake.Issuer(), interval)
				for range 600 {
					p.notReady(t, "unavailable")
					time.Sleep(100 * time.Millisecond)
				}
				check(t, "asked", p.asked.Load(), times)
			})
		})
	}
}

func TestReadiness_AwaitsRunningRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := passporttest.NewInProcess(t, passporttest.Config{})
		fake.FailAlways(passporttest.Hang())
		p := newProbe(t, fake.Issuer(), time.Second)
		begin := time.Now()
		concurrently(90, func(i int) {
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			p.notReady(t, "timeout")
			check(t, "answered after", time.Since(begin), 10*time.Second)
		})
		check(t, "asked", p.asked.Load(), 1)
	})
}

func TestReadiness_ReadyByTokenOfTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := passporttest.NewInProcess(t, passporttest.Config{})
		fake.FailAlways(passporttest.Status(http.StatusInternalServerError))
		p := newProbe(t, fake.Issuer(), time.Hour)
		p.notReady(t, "unavailable")
		fake.Heal()
		time.Sleep(30 * time.Second)
		p.notReady(t, "unavailable") // The probe requests no token within its interval.
		if _, err := p.source.Token(t.Context(), acct(t, bob)); err != nil {
			t.Fatal(err)
		}
		p.ready(t)
	})
}

func TestReadiness_ConcurrentProbesIssueOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := passporttest.NewInProcess(t, passporttest.Config{TokenLatency: time.Second})
		p := newProbe(t, fake.Issuer(), 0)
		concurrently(100, func(int) { p.ready(t) })
		check(t, "token requests", fake.Counts().TokenRequests, 1)
		check(t, "asked", p.asked.Load(), 1)
	})
}

func TestReadiness_CanceledProbeHarmsNoOther(t *testing.T) {
	for name, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"canceled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"out of time": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := passporttest.NewInProcess(t, passporttest.Config{TokenLatency: 2 * time.Second})
				p := newProbe(t, fake.Issuer(), time.Hour)
				concurrently(2, func(i int) {
					if i == 1 { // The second probe joins the request of the first.
						time.Sleep(time.Millisecond)
						p.ready(t)
						return
					}
					ctx, cancel := leave(t.Context())
					defer cancel()
					begin := time.Now()
					wantProblem(t, call(p, inbound(t).WithContext(ctx)), http.StatusServiceUnavailable, "timeout")
					check(t, "answered after", time.Since(begin), time.Second)
				})
				p.ready(t)
				check(t, "token requests", fake.Counts().TokenRequests, 1)
			})
		})
	}
}

func TestReadiness_NamesProblem(t *testing.T) {
	for _, test := range answers {
		if test.kind == tokensource.ErrCanceled {
			continue // Only a caller's own context causes this kind.
		}
		t.Run(string(test.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := tokensource.NewError(test.kind, errors.New("SENTINEL"))
				err.CorrelationID = "SENTINEL"
				p := newProbe(t, failingIssuer(err), 0)
				p.notReady(t, test.problem)
				p.notReady(t, test.problem)
				r := call(p, inbound(t))
				wantNothingOfTheEndpoint(t, r)
				head := httptest.NewRecorder()
				p.ServeHTTP(head, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil))
				check(t, "status of HEAD", head.Code, http.StatusServiceUnavailable)
				check(t, "body of HEAD", head.Body.Len(), 0)
			})
		})
	}
}

func TestReadiness_ShowsNoSecret(t *testing.T) {
	fake := passporttest.NewServer(t, passporttest.Config{})
	p := newProbe(t, fake.Issuer(), time.Nanosecond)
	s := serve(t, p)
	var seen strings.Builder
	for _, fail := range []func(){
		func() { fake.FailAlways(passporttest.Status(http.StatusUnauthorized)) },
		fake.Heal,
	} {
		fail()
		r := s.get(t, "/readyz")
		wantNothingOfTheEndpoint(t, r)
		seen.WriteString(r.body)
	}
	for _, secret := range []string{fake.ServerKey(), fake.ServerSecret(), alice} {
		check(t, "a secret", strings.Contains(seen.String(), secret), false)
	}
}
