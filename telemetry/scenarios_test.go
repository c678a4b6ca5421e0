// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A scenario is a sequence of events that telemetry reports.
type scenario struct {
	name string
	run  func(*fixture)
	// takesTime scenarios wait for minutes. They run in a testing/synctest bubble
	// without a network. All other scenarios run on loopback.
	takesTime bool
}

// sendsNothing reports whether the scenario has no request.
func (sc scenario) sendsNothing() bool { return strings.HasSuffix(sc.name, "before the first request") }

var scenarios = []scenario{
	{"before the first request", func(*fixture) {}, false},
	{"cold", func(s *fixture) {
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"cached", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"joined", func(s *fixture) {
		arrived, release := s.issuing.block()
		first := s.start(func() int { return s.read("first request") })
		arrived()
		second := s.start(func() int { return s.read("request") })
		<-s.joined
		release()
		s.want(first(), http.StatusOK)
		s.want(second(), http.StatusOK)
	}, false},
	{"stale, renewed in the background", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		time.Sleep(500 * time.Second)
		s.want(s.read("request"), http.StatusOK)
		synctest.Wait()
	}, true},
	{"stale, and the renewal fails", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		time.Sleep(500 * time.Second)
		s.pismo.FailAlways(passporttest.HTML(http.StatusBadGateway))
		s.want(s.read("request"), http.StatusOK)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
	}, true},
	{"expired", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		time.Sleep(time.Hour)
		s.want(s.read("request"), http.StatusOK)
	}, true},
	{"failed issuance, tried twice", func(s *fixture) {
		s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
		s.want(s.read("request"), 0)
	}, false},
	{"cooldown", func(s *fixture) {
		s.pismo.FailAlways(passporttest.RateLimited(time.Minute))
		s.want(s.read("first request"), 0)
		s.want(s.read("request"), 0)
	}, false},
	{"credentials rejected", func(s *fixture) {
		s.account = tokensource.Organization()
		s.pismo.RotateSecret()
		s.want(s.read("first request"), 0)
		s.want(s.read("request"), 0)
	}, false},
	{"token endpoint hangs", func(s *fixture) {
		s.pismo.FailAlways(passporttest.Hang())
		first := s.start(func() int { return s.read("first request") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		s.want(s.send(ctx, "request with a deadline", http.MethodGet, "/v1/accounts/"+aliceID, nil), 0)
		s.want(first(), 0)
		synctest.Wait() // The abandoned call ends.
	}, true},
	{"client gone", func(s *fixture) {
		arrived, release := s.issuing.block()
		ctx, leave := context.WithCancel(s.Context())
		first := s.start(func() int {
			return s.send(ctx, "first request", http.MethodGet, "/v1/accounts/"+aliceID, nil)
		})
		arrived()
		second := s.start(func() int { return s.send(ctx, "request", http.MethodGet, "/v1/accounts/"+aliceID, nil) })
		<-s.joined
		leave()
		s.want(first(), 0)
		s.want(second(), 0)
		third := s.start(func() int { return s.read("another request") })
		<-s.joined
		release()
		s.want(third(), http.StatusOK)
	}, false},
	{"401, renewed and replayed", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"401, renewed by another", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		// Three requests have the revoked token. The first gets a new token. The
		// second joins that issuance. The last finds the new token.
		arrivedLast, releaseLast := s.sending.block()
		last := s.start(func() int { return s.read("last request") })
		arrivedLast()
		arrivedSecond, releaseSecond := s.sending.block()
		second := s.start(func() int { return s.read("second request") })
		arrivedSecond()
		arrived, release := s.issuing.block()
		first := s.start(func() int { return s.read("request") })
		arrived()
		releaseSecond()
		<-s.joined
		release()
		s.want(first(), http.StatusOK)
		s.want(second(), http.StatusOK)
		releaseLast()
		s.want(last(), http.StatusOK)
	}, false},
	{"replayed, and refused again", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{}.Times(2))
		s.want(s.read("request"), http.StatusUnauthorized)
	}, false},
	{"replayed, and answered by the business", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{}, passporttest.MustRefusal("EUPI0120"))
		s.want(s.read("request"), http.StatusUnauthorized)
	}, false},
	{"401, not replayable", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{})
		s.want(s.pay("request"), http.StatusUnauthorized)
		synctest.Wait() // No request waits for the renewal.
	}, true},
	{"401, and the renewal fails", func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.pismo.FailAlways(passporttest.Status(http.StatusUnauthorized))
		s.want(s.read("request"), http.StatusUnauthorized)
		s.want(s.read("another request"), http.StatusUnauthorized)
	}, false},
	{"401 that is an answer of the business", func(s *fixture) {
		s.pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
		s.want(s.pay("request"), http.StatusUnauthorized)
	}, false},
	{"401, account refused", func(s *fixture) {
		s.pismo.Refuse(passporttest.MustRefusal("WCAC0001"))
		s.want(s.read("request"), http.StatusUnauthorized)
	}, false},
	{"401 not recognized", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{ContentType: "application/json", Body: `{"code":"X1"}`})
		s.want(s.pay("request"), http.StatusUnauthorized)
		synctest.Wait()
	}, true},
	{"401 again and again", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{}.Times(100))
		for range 4 {
			s.want(s.read("request"), http.StatusUnauthorized)
		}
	}, false},
	{"retried", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable})
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"retried, and then renewed and replayed", func(s *fixture) {
		s.pismo.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable}, passporttest.Refusal{})
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"fleet, before the first request", func(s *fixture) {
		s.joinFleet(new(fleettest.Memory))
	}, false},
	{"fleet, the first process", func(s *fixture) {
		s.joinFleet(new(fleettest.Memory))
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"fleet, a token of another process", func(s *fixture) {
		store := new(fleettest.Memory)
		s.issueElsewhere(store)
		s.joinFleet(store)
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"fleet, renewed after a 401", func(s *fixture) {
		s.joinFleet(new(fleettest.Memory))
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"fleet, the store fails", func(s *fixture) {
		store := new(fleettest.Memory)
		store.SetFault(fleettest.Fail(errors.New(sentinelBody)))
		s.joinFleet(store)
		s.want(s.read("first request"), http.StatusOK)
		s.source.Invalidate(s.account)
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"fleet, a poisoned value", func(s *fixture) {
		store := new(fleettest.Memory)
		s.joinFleet(store)
		s.want(s.read("first request"), http.StatusOK)
		for name := range store.Values() {
			store.Poison(name, []byte(sentinelBody), time.Minute)
		}
		s.source.Invalidate(s.account)
		s.want(s.read("request"), http.StatusOK)
	}, false},
}
