// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// byHeader selects the account that the header field X-Account names.
func byHeader(c *middleware.ProxyConfig) { c.Account, _ = middleware.FromHeader("X-Account", digits) }

// keepConnections makes the client of a service keep its connections.
func keepConnections(s *service) *service {
	s.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 1000
	return s
}

// Two thousand requests are for a hundred accounts. The token of each account
// is revoked twice. Each time, several requests meet the revoked token
// together, while requests for other accounts run. A token is never revoked
// during a replay, so that the result does not depend on the machine's speed.
func TestNewProxy_OneIssuancePerRevocation(t *testing.T) {
	const accounts, workers, each = 100, 4, 6
	p := newPlatformFor(t, passporttest.NewServer(t, passporttest.Config{}), tokensource.Config{IssueTimeout: time.Minute})
	s := keepConnections(serve(t, p.proxy(t, byHeader)))
	var paid atomic.Int64
	// do sends a request for an account, and checks that the answer has the data
	// of that account.
	do := func(id string, n int) {
		method, path, want := http.MethodGet, "/v1/accounts/"+id, http.StatusOK
		if n%2 == 0 {
			method, path, want = http.MethodPost, "/v1/payments", http.StatusCreated
			paid.Add(1)
		}
		r, err := s.try(s.request(t, method, path, strings.NewReader("payment of "+id), "X-Account", id))
		var data struct {
			AccountID json.Number `json:"account_id"`
		}
		if err != nil || r.status != want || json.Unmarshal([]byte(r.body), &data) != nil || data.AccountID.String() != id {
			t.Errorf("account %s: got status %d, %s, error %v, want status %d and the account", id, r.status, r.body, err, want)
		}
	}
	concurrently(accounts, func(i int) {
		id := strconv.Itoa(1_000_000 + i)
		for round := range each {
			concurrently(workers, func(worker int) { do(id, round+worker) })
			if round == each/3 || round == 2*each/3 {
				p.Revoke(id)
			}
		}
	})
	counts := p.Counts()
	check(t, "tokens issued", counts.Issued, 3*accounts)
	check(t, "token requests", counts.TokenRequests, 3*accounts)
	check(t, "requests accepted", counts.Accepted, accounts*workers*each)
	for id, c := range counts.Accounts {
		check(t, "tokens issued for "+id, c.Issued, 3)
	}
	for reason, n := range counts.Refused {
		if reason != passporttest.ReasonRevoked {
			t.Errorf("%d requests were refused: %s, want %s only", n, reason, passporttest.ReasonRevoked)
		}
	}
	made := int64(0)
	for _, d := range p.Deliveries() {
		if d.Method == http.MethodPost && d.Status == http.StatusCreated {
			made++
		}
	}
	check(t, "payments made", made, paid.Load())
}

// A thousand requests meet a token endpoint that is down. The test runs in
// bubbles: on a slow machine, a real issuance would time out before it fails.
func TestNewProxy_AnswersBurstDuringOutage(t *testing.T) {
	for _, test := range []struct {
		fault    passporttest.Fault
		accounts int
		status   int
		name     string
	}{
		{passporttest.Status(http.StatusInternalServerError), 1, http.StatusBadGateway, "unavailable"},
		{passporttest.RateLimited(5 * time.Second), 1, http.StatusServiceUnavailable, "rate-limited"},
		{passporttest.Reset(), 1000, http.StatusBadGateway, "unavailable"},
	} {
		t.Run(fmt.Sprintf("%s/%d accounts", test.fault, test.accounts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlatformFor(t, passporttest.NewInProcess(t, passporttest.Config{}), tokensource.Config{})
				p.FailAlways(test.fault)
				proxy := p.proxy(t, byHeader)
				concurrently(1000, func(i int) {
					r := inbound(t, "X-Account", strconv.Itoa(1+i%test.accounts))
					r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("payment"))
					answer := call(proxy, r)
					wantProblem(t, answer, test.status, test.name)
					check(t, "a Retry-After", answer.header.Get("Retry-After") != "", true)
				})
				check(t, "requests to the platform", p.Counts().ResourceRequests, 0)
			})
		})
	}
}

// A thousand requests arrive within a second of bubble time. They are for one
// account or for a thousand accounts.
func TestWrap_BurstInOutageSparesEndpoint(t *testing.T) {
	for _, test := range []struct {
		fault           passporttest.Fault
		accounts, calls int
		spread          time.Duration // time over which the requests arrive
		status          int
	}{
		{passporttest.Status(http.StatusInternalServerError), 1, 3, 0, http.StatusBadGateway},
		{passporttest.Status(http.StatusInternalServerError), 1, 3, time.Second, http.StatusBadGateway},
		{passporttest.Status(http.StatusInternalServerError), 1000, 40, 0, http.StatusBadGateway},
		{passporttest.Status(http.StatusInternalServerError), 1000, 40, time.Second, http.StatusBadGateway},
		{passporttest.Status(http.StatusUnauthorized), 1000, 40, time.Second, http.StatusBadGateway},
		{passporttest.HTML(http.StatusForbidden), 1000, 40, time.Second, http.StatusBadGateway},
		{passporttest.Reset(), 1000, 40, 0, http.StatusBadGateway},
		{passporttest.RateLimited(0), 1, 3, time.Second, http.StatusServiceUnavailable},
		{passporttest.RateLimited(0), 1000, 40, time.Second, http.StatusServiceUnavailable},
		{passporttest.SlowHeaders(300 * time.Millisecond), 1, 3, time.Second, http.StatusBadGateway},
		{passporttest.Hang(), 1, 3, time.Second, http.StatusGatewayTimeout},
		{passporttest.Hang(), 1000, 40, 0, http.StatusGatewayTimeout},
	} {
		t.Run(fmt.Sprintf("%s/%d accounts/over %s", test.fault, test.accounts, test.spread), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := passporttest.NewInProcess(t, passporttest.Config{})
				fake.RotateSecret() // The slow token request is refused in the end.
				issuer := fake.Issuer()
				fake.RotateSecret()
				fake.FailAlways(test.fault)
				m := newMiddleware(t, middleware.Config{
					Source:  newSource(t, tokensource.Config{Issuer: issuer}),
					Account: fromHeader(t, "X-Account", digits),
				})
				handler := m.Wrap(http.NotFoundHandler())
				begin := time.Now()
				var running sync.WaitGroup
				for i := range 1000 {
					running.Go(func() {
						time.Sleep(time.Duration(i) * test.spread / 1000)
						const limit = 3 * time.Second
						asked := time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						defer cancel()
						r := call(handler, inbound(t, "X-Account", strconv.Itoa(1+i%test.accounts)).WithContext(ctx))
						if r.status != test.status {
							t.Errorf("got status %d after %s: %s, want %d", r.status, time.Since(begin), r.body, test.status)
						}
						if took := time.Since(asked); took > limit {
							t.Errorf("the answer took %s, want %s at most", took, limit)
						}
					})
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if calls := fake.Counts().TokenRequests; calls > test.calls {
					t.Errorf("%d calls in the first second, want at most %d", calls, test.calls)
				}
				running.Wait()
				time.Sleep(time.Minute) // All issuances end.
			})
		})
	}
}

// The test revokes tokens at random times.
func TestNewProxy_NeverMixesUpAccounts(t *testing.T) {
	const accounts, workers, each = 5, 8, 20
	p := newPlatform(t, passporttest.Config{})
	s := keepConnections(serve(t, p.proxy(t, byHeader)))
	concurrently(accounts*workers, func(i int) {
		id := strconv.Itoa(1 + i%accounts)
		for n := range each {
			r, err := s.try(s.request(t, http.MethodGet, "/v1/accounts/"+id, nil, "X-Account", id))
			switch {
			case err != nil:
				t.Error(err)
			case r.status == http.StatusOK:
				check(t, "body", r.body, `{"account_id":`+id+`,"status":"NORMAL"}`)
			default: // The token was revoked more often than the budget allows.
				wantProblem(t, r, http.StatusBadGateway, "token-refused")
			}
			if n%10 == 9 {
				p.Revoke(strconv.Itoa(1 + (i+n)%accounts))
			}
		}
	})
	for reason, n := range p.Counts().Refused {
		if reason != passporttest.ReasonRevoked {
			t.Errorf("%d requests were refused: %s, want %s only", n, reason, passporttest.ReasonRevoked)
		}
	}
}
