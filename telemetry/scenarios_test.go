package telemetry_test

import (
	"context"
	"net/http"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A scenario is something that can happen, and that telemetry tells of.
type scenario struct {
	name string
	play func(*stage)
	// takesTime says that minutes pass. They do in a bubble of testing/synctest,
	// and so without a network; all others take place on loopback.
	takesTime bool
}

var scenarios = []scenario{
	{"before the first request", func(*stage) {}, false},
	{"cold", func(s *stage) {
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"cached", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"joined", func(s *stage) {
		arrived, release := s.issuing.next()
		first := s.start(func() int { return s.read("first request") })
		arrived()
		second := s.start(func() int { return s.read("request") })
		<-s.joined
		release()
		s.want(first(), http.StatusOK)
		s.want(second(), http.StatusOK)
	}, false},
	{"stale, renewed in the background", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		time.Sleep(500 * time.Second)
		s.want(s.read("request"), http.StatusOK)
		synctest.Wait()
	}, true},
	{"stale, and the renewal fails", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		time.Sleep(500 * time.Second)
		s.pismo.FailAlways(passporttest.HTML(http.StatusBadGateway))
		s.want(s.read("request"), http.StatusOK)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
	}, true},
	{"expired", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		time.Sleep(time.Hour)
		s.want(s.read("request"), http.StatusOK)
	}, true},
	{"failed issuance, tried twice", func(s *stage) {
		s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
		s.want(s.read("request"), 0)
	}, false},
	{"cooldown", func(s *stage) {
		s.pismo.FailAlways(passporttest.RateLimited(time.Minute))
		s.want(s.read("first request"), 0)
		s.want(s.read("request"), 0)
	}, false},
	{"credentials rejected", func(s *stage) {
		s.account = tokensource.Organization()
		s.pismo.RotateSecret()
		s.want(s.read("first request"), 0)
		s.want(s.read("request"), 0)
	}, false},
	{"token endpoint hangs", func(s *stage) {
		s.pismo.FailAlways(passporttest.Hang())
		first := s.start(func() int { return s.read("first request") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		s.want(s.send(ctx, "request with a deadline", http.MethodGet, "/v1/accounts/"+aliceID, nil), 0)
		s.want(first(), 0)
		synctest.Wait() // Until the call that was given up has noticed.
	}, true},
	{"client gone", func(s *stage) {
		arrived, release := s.issuing.next()
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
	{"401, renewed and replayed", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"401, renewed by another", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		// Three go out with the token that was revoked. One gets another; one
		// finds that being issued, and waits; one finds it issued.
		arrivedLast, releaseLast := s.sending.next()
		last := s.start(func() int { return s.read("last request") })
		arrivedLast()
		arrivedSecond, releaseSecond := s.sending.next()
		second := s.start(func() int { return s.read("second request") })
		arrivedSecond()
		arrived, release := s.issuing.next()
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
	{"replayed, and refused again", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{}.Times(2))
		s.want(s.read("request"), http.StatusUnauthorized)
	}, false},
	{"replayed, and answered by the business", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{}, passporttest.MustRefusal("EUPI0120"))
		s.want(s.read("request"), http.StatusUnauthorized)
	}, false},
	{"401, not replayable", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{})
		s.want(s.pay("request"), http.StatusUnauthorized)
		synctest.Wait() // No one waits for the renewal.
	}, true},
	{"401, and the renewal fails", func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.pismo.FailAlways(passporttest.Status(http.StatusUnauthorized))
		s.want(s.read("request"), http.StatusUnauthorized)
		s.want(s.read("another request"), http.StatusUnauthorized)
	}, false},
	{"401 that is an answer of the business", func(s *stage) {
		s.pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
		s.want(s.pay("request"), http.StatusUnauthorized)
	}, false},
	{"401, account refused", func(s *stage) {
		s.pismo.Refuse(passporttest.MustRefusal("WCAC0001"))
		s.want(s.read("request"), http.StatusUnauthorized)
	}, false},
	{"401 of a kind not known", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{ContentType: "application/json", Body: `{"code":"X1"}`})
		s.want(s.pay("request"), http.StatusUnauthorized)
		synctest.Wait()
	}, true},
	{"401 again and again", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{}.Times(100))
		for range 4 {
			s.want(s.read("request"), http.StatusUnauthorized)
		}
	}, false},
	{"retried", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable})
		s.want(s.read("request"), http.StatusOK)
	}, false},
	{"retried, and then renewed and replayed", func(s *stage) {
		s.pismo.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable}, passporttest.Refusal{})
		s.want(s.read("request"), http.StatusOK)
	}, false},
}
